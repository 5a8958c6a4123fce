"""The real parts that telemetry flows through, for ``make stack`` and the tests of ``tests/stack``.

For the development of weatherglass alone: nothing of it is in the wheel. In production, use the
releases of OpenTelemetry, Prometheus and Grafana themselves.
"""
