# One image per service: docker build --target lwm2m-server .
# Base image and build configuration come from outside; nothing of the building machine ends up in an image.
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Wheels carry debug symbols, up to a third of an image. Where no Debian mirror can be reached they stay.
RUN (apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils) || \
    echo "no binutils: images will be larger"
# Wheels by hash only: the lock file decides what is in the image, and no compiler is needed. A machine that
# reaches its package index through a mirror or a proxy hands over its pip.conf and CA as build secrets.
RUN printf '%s\n' '#!/bin/sh -eu' \
    'if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi' \
    'if [ -s /run/secrets/pip_conf ]; then export PIP_CONFIG_FILE=/run/secrets/pip_conf; fi' \
    'python -m venv --without-pip /opt/venv' \
    'pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: -r "$1"' \
    '# Interfaces and sources of compiled modules, which only compilers and type checkers read.' \
    'find /opt/venv/lib -type f -name "*.py[ix]" -delete -o -type f -name "*.pxd" -delete -o -type f -name "*.[ch]" -delete' \
    'if command -v strip >/dev/null; then' \
    '  find /opt/venv -name "*.so" -not -path "*.libs/*" -exec strip --strip-debug {} +' \
    'fi' \
    > /usr/local/bin/install-locked && chmod 755 /usr/local/bin/install-locked

FROM ${PYTHON_IMAGE} AS runtime
# The uid of the official Mosquitto image: broker and services can each own their private key (mode 0600)
# although one container, running as this user, writes them all.
RUN groupadd --gid 1883 testbed && \
    useradd --uid 1883 --gid 1883 --home-dir /app --no-create-home --shell /usr/sbin/nologin testbed && \
    install -d -o testbed -g testbed /certs /data
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HTTP_HOST=0.0.0.0
WORKDIR /app
USER testbed
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="IoT Testing Corp" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV TESTBED_REVISION=${REVISION}
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["python", "-m", "iiot.healthcheck"]
COPY common/src/ /app/

FROM build AS lwm2m-server-packages
RUN --mount=type=bind,source=requirements/lwm2m-server.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS lwm2m-server
LABEL org.opencontainers.image.title="lwm2m-server" \
      org.opencontainers.image.description="LwM2M 1.2 server over MQTT with REST, event feed and WebSocket"
COPY --from=lwm2m-server-packages /opt/venv /opt/venv
COPY lwm2m-server/src/ /app/
ENV HTTP_PORT=8080
EXPOSE 8080
CMD ["python", "-m", "lwm2m_server"]

FROM build AS sparkplug-host-packages
RUN --mount=type=bind,source=requirements/sparkplug-host.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS sparkplug-host
LABEL org.opencontainers.image.title="sparkplug-host" \
      org.opencontainers.image.description="Sparkplug B host application: state of nodes, devices and metrics"
COPY --from=sparkplug-host-packages /opt/venv /opt/venv
COPY sparkplug-host/src/ /app/
ENV HTTP_PORT=8081
EXPOSE 8081
CMD ["python", "-m", "sparkplug_host"]

FROM build AS mqtt-redpanda-bridge-packages
RUN --mount=type=bind,source=requirements/mqtt-redpanda-bridge.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS mqtt-redpanda-bridge
LABEL org.opencontainers.image.title="mqtt-redpanda-bridge" \
      org.opencontainers.image.description="Bridge from MQTT to Kafka that acknowledges after delivery"
COPY --from=mqtt-redpanda-bridge-packages /opt/venv /opt/venv
COPY mqtt-redpanda-bridge/src/ /app/
ENV HTTP_PORT=8082
EXPOSE 8082 8092
CMD ["python", "-m", "mqtt_redpanda_bridge"]

FROM build AS device-simulator-packages
RUN --mount=type=bind,source=requirements/device-simulator.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS device-simulator
LABEL org.opencontainers.image.title="device-simulator" \
      org.opencontainers.image.description="A fleet of devices that speak LwM2M and Sparkplug B on one connection"
COPY --from=device-simulator-packages /opt/venv /opt/venv
COPY device-simulator/src/ /app/
ENV HTTP_PORT=8083
EXPOSE 8083
CMD ["python", "-m", "device_simulator"]

FROM build AS console-packages
RUN --mount=type=bind,source=requirements/console.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS console
LABEL org.opencontainers.image.title="console" \
      org.opencontainers.image.description="Web console: flow, devices, events, topics and alerts on one page"
COPY --from=console-packages /opt/venv /opt/venv
COPY console/src/ /app/
ENV HTTP_PORT=8088
EXPOSE 8088
CMD ["python", "-m", "console"]

FROM build AS testbed-cli-packages
RUN --mount=type=bind,source=requirements/testbed-cli.txt,target=/requirements.txt \
    --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca --mount=type=secret,id=pip_conf \
    install-locked /requirements.txt

FROM runtime AS testbed-cli
LABEL org.opencontainers.image.title="testbed-cli" \
      org.opencontainers.image.description="Command line tool: certificates, topics, ledger verification"
COPY --from=testbed-cli-packages /opt/venv /opt/venv
COPY testbed-cli/src/ /app/
USER root
# A new volume takes the owner of the directory it is first mounted on: these are the mount points of the
# identities, and of the cursor that Redpanda Connect's user (10001) writes.
RUN cd /certs && install -d -o testbed -g testbed ca device-ca broker devices \
        lwm2m-server sparkplug-host mqtt-redpanda-bridge console testbed alerts && \
    install -d -o 10001 -g 10001 /var/lib/redpanda-connect
USER testbed
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "testbed"]
