"""The same requests in Ciw: runs in Ciw's own environment, reads them from stdin, prints what came of them.

Says, as JSON: `cpu_s`, the CPU seconds of the simulation without the import, `served`, and `mean_wait_s`.
"""

import json
import sys
import time

import ciw


def main() -> None:
    told = json.load(sys.stdin)
    begun_s = time.process_time()
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*told["gaps_s"], float("inf")])],
        service_distributions=[ciw.dists.Sequential(told["service_s"])],
        number_of_servers=[told["slots"]],
    )
    ciw.seed(1)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(told["gaps_s"]), method="Finish")
    waits_s = [record.waiting_time for record in simulation.get_all_records()]
    cpu_s = time.process_time() - begun_s
    said = {"cpu_s": cpu_s, "served": len(waits_s), "mean_wait_s": sum(waits_s) / len(waits_s)}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
