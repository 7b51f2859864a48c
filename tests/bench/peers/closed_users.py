"""Locust by itself, for `locust -f`: users that ask, wait for the answer, and pace themselves.

The environment's `EACH_RPS` says how many requests a second each would send to a server that answers at once.
"""

import itertools
import os

from locust import FastHttpUser, constant_throughput, task

numbers = itertools.count()


class Asker(FastHttpUser):
    wait_time = constant_throughput(float(os.environ["EACH_RPS"]))

    @task
    def ask(self) -> None:
        number = next(numbers)
        session = {"x-amzn-bedrock-agentcore-runtime-session-id": f"session-{number}".ljust(40, "0")}
        self.client.post("/invocations", json={"prompt": f"Question {number}"}, headers=session)
