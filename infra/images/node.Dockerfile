# Handlers and passes in one image: docker build -t c2d/node -f infra/images/node.Dockerfile .
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
ENV PYTHONUNBUFFERED=1
WORKDIR /opt/c2d
COPY infra/requirements infra/requirements
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes \
        -r infra/requirements/all.txt -r infra/requirements/build.txt
COPY pyproject.toml README.md ./
COPY handlers handlers
COPY shared shared
COPY engines engines
COPY pods pods
COPY infra infra
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps \
        --no-build-isolation -e .
CMD ["gunicorn", "-c", "infra/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "handlers.all_in_one:create_app()"]
