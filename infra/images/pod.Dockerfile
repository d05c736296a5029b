# Both pods in one image: `python -m pods.configuration`, `python -m pods.publishing`. Built by infra/images/build.
# They run as root with few capabilities: an algorithm's files are read whatever their rights, and given to its user.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

# No cache, no writing of bytecode at run time: containers start from what is compiled below.
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/opt/c2d:/opt/c2d/libraries
WORKDIR /

COPY requirements.txt /opt/c2d/
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --retries 2 --no-compile \
        --require-hashes --only-binary :all: --target /opt/c2d/libraries -r /opt/c2d/requirements.txt

COPY shared /opt/c2d/shared
COPY pods /opt/c2d/pods
# Slim base images come without bytecode: compile what the pods import, of the standard library too, by importing it.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/c2d/shared /opt/c2d/pods \
    && python3 -c "import pods.configuration, pods.publishing"

ENV PYTHONDONTWRITEBYTECODE=1
ARG CONTENT=unknown
LABEL c2d.content=${CONTENT}
CMD ["python3"]
