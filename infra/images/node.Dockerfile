# Handlers, passes and the command in one image, for any user and a file system that is read only. Built by
# `infra/images/build node`.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
ENV PYTHONUNBUFFERED=1
WORKDIR /opt/c2d
COPY requirements.txt ./
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --retries 2 \
        --require-hashes -r requirements.txt
COPY pyproject.toml README.md ./
COPY handlers handlers
COPY shared shared
COPY engines engines
COPY pods pods
COPY infra infra
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps \
        --no-build-isolation -e . \
    && python3 -m compileall -q --invalidation-mode unchecked-hash handlers shared engines pods infra

ENV PYTHONDONTWRITEBYTECODE=1
ARG CONTENT=unknown
LABEL c2d.content=${CONTENT}
CMD ["gunicorn", "-c", "infra/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "handlers.all_in_one:create_app()"]
