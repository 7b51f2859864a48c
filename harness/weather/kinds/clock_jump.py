"""The store's clock jumps on by as much as the delay says, and back at the end.

In production: a host whose clock was wrong until somebody set it, a machine that was paused. What a store is
to keep for a while it keeps until an instant: all of it is older by the jump. In traces: nothing; a session
that was used a minute ago is not there. A time to keep that is much longer than any jump mends it, and locks
that are not trusted because of their time alone. What is moved is when keys expire; what `TIME` tells is not.
"""

from harness.records.weather import WeatherRule
from harness.weather.kinds.kind import StoreServer, WeatherKind

JUMP = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 then redis.call('PEXPIRE', key, left - tonumber(ARGV[1])) end
end
"""


def _jump(store: StoreServer, by_s: float) -> None:
    store.tell("EVAL", JUMP, "0", str(int(by_s * 1000)))


def _begin(rule: WeatherRule, store: StoreServer) -> None:
    _jump(store, rule.delay.median_s)


def _end(rule: WeatherRule, store: StoreServer) -> None:
    _jump(store, -rule.delay.median_s)


KIND = WeatherKind(takes=("delay",), begin=_begin, end=_end)
