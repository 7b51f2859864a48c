// Busy signal: a container says when it has no free slot, and refuses what is sent nevertheless. See busy_signal.py.
export class BusySignal {
  #limit;
  #now;
  #inFlight = 0;

  constructor(limit, now = () => Date.now() / 1000) {
    if (!(limit >= 1)) throw new RangeError(`limit is ${limit}; a container that takes no request is of no use`);
    this.#limit = limit;
    this.#now = now;
    this.changedAt = Math.floor(now()); // stamped when the status changes, never when it is asked for
  }

  get status() {
    return this.#inFlight >= this.#limit ? "HealthyBusy" : "Healthy";
  }

  // Takes a slot, or undefined when there is none; never waits.
  tryAcquire() {
    if (this.status === "HealthyBusy") return undefined;
    this.#count(1);
    let held = true;
    return {
      // Gives the slot back; a second call changes nothing.
      release: () => {
        if (held) this.#count(-1);
        held = false;
      },
    };
  }

  #count(step) {
    const before = this.status;
    this.#inFlight += step;
    if (this.status !== before) this.changedAt = Math.floor(this.#now());
  }
}
