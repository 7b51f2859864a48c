# The harness as a container: compose.yaml runs simulator, tool server, Envoy and Locust from it, and
# `agentrig run --on kubernetes --inside` a whole bench.
#   docker build --tag agentrig-harness --file dashboards/harness.Dockerfile .
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
COPY reference_agent reference_agent
COPY dashboards dashboards
COPY locustfiles locustfiles
RUN pip install --no-cache-dir --constraint constraints.txt '.[kubernetes]' \
 && useradd --system --create-home --uid 10001 rig
WORKDIR /app
# The scenarios as they were installed, where a command can name them.
RUN ln -s "$(agentrig locustfiles)" locustfiles
USER rig
ENV PYTHONUNBUFFERED=1
