// What .ci/jaeger/build makes: Jaeger 2.13.0, which its Go module calls v1.76.0.
module agentrig/jaeger

go 1.24.6

require github.com/jaegertracing/jaeger v1.76.0
