"""The demo: one fleet of workers sent through the same bad weather three times, and compared.

``weatherglass demo`` runs it. The weather is data (:mod:`~weatherglass.demo.weather`), the fleet
is the same for all (:mod:`~weatherglass.demo.fleet`), and what is shown of weatherglass is read
from the telemetry that it exports (:mod:`~weatherglass.demo.picture`). Nothing here is needed by
a program that uses weatherglass.
"""
