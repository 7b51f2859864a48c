# The harness as a container: compose.yaml runs simulator, tool server, Envoy and Locust from it.
FROM python:3.13-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
COPY reference_agent reference_agent
COPY dashboards dashboards
COPY locustfiles locustfiles
RUN pip install --no-cache-dir --constraint constraints.txt . \
 && useradd --system --create-home --uid 10001 rig
COPY locustfiles /app/locustfiles
WORKDIR /app
USER rig
ENV PYTHONUNBUFFERED=1
