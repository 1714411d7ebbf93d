"""The DRAM controller told slowly: every cycle, every bank, every rule by its name. The compiled one must agree exactly.

Each bank knows for each command the cycle before which it must not come; whoever issues a command tells all banks of
the channel what they must wait for. Nothing is skipped, cached or counted ahead.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from dcsim.soc.dram_controller import DramRequests
from dcsim.soc.dram_spec import BankedDram, Idle
from dcsim.units import mib_to_bytes

N_WAITING, N_QUEUED, DRAIN_ABOVE, ENOUGH_HITS, N_ACTIVATES_IN_FAW = 32, 8, 8, 4, 4


@dataclass
class Request:
    """A burst to read or to write, for one or several requests that entered in these cycles."""

    burst: int
    row: int
    bank: int  # through the ranks of its channel
    is_write: bool
    entered: list[int]


@dataclass
class Bank:
    rank: int
    open_row: int | None = None
    n_accesses: int = 0
    follows_conflict: bool = False
    queue: list[Request] = field(default_factory=list)
    not_before: dict[str, int] = field(default_factory=lambda: Counter())

    def hold(self, command: str, cycle: int) -> None:
        self.not_before[command] = max(self.not_before[command], cycle)

    def next_command(self, request: Request) -> str:
        if self.open_row is None:
            return "activate"
        if self.open_row != request.row:
            return "precharge"
        return "write" if request.is_write else "read"

    def may_close(self, request: Request) -> bool:
        """Only the first in the queue may close a row for its own, when nobody wants the open one or it had its share."""
        is_wanted = any(other.row == self.open_row for other in self.queue)
        return request is self.queue[0] and (not is_wanted or self.n_accesses >= ENOUGH_HITS)


@dataclass
class Rank:
    state: str = "awake"
    activated: list[int] = field(default_factory=list)
    refreshed_until: int = 0  # by a refresh without work, during which its banks count as active


class Channel:
    def __init__(self, dram: BankedDram, idle: Idle | None, found: Counter[str]) -> None:
        self.dram, self.t, self.idle, self.found = dram, dram.timing, idle, found
        self.ranks = [Rank() for _ in range(dram.n_ranks)]
        self.banks = [Bank(rank) for rank in range(dram.n_ranks) for _ in range(dram.n_banks)]
        self.reads: list[Request] = []
        self.writes: list[Request] = []
        self.in_flight: list[tuple[int, Request]] = []
        self.refreshes: deque[int] = deque()
        self.n_draining = self.n_refreshes_begun = self.busy_until = 0
        self.turn = 0

    def banks_of(self, rank: int) -> list[Bank]:
        return [bank for bank in self.banks if bank.rank == rank]

    def has_work(self) -> bool:
        queued = any(bank.queue for bank in self.banks)
        return queued or bool(self.reads) or self.n_draining > 0 or len(self.writes) > DRAIN_ABOVE

    # one cycle

    def tick(self, clock: int) -> None:
        self.call_refreshes(clock)
        has_work = self.has_work()
        self.wake(clock, has_work)
        is_at_rest = bool(self.idle) and not has_work and clock > self.busy_until + self.dram.sleep_after_cycles
        issued = self.refresh(clock, is_at_rest) or self.serve(clock)
        if is_at_rest and not issued:
            self.rest(clock)
        for number, rank in enumerate(self.ranks):
            is_open = any(bank.open_row is not None for bank in self.banks_of(number))
            is_active = is_open or clock < rank.refreshed_until
            state = rank.state if rank.state != "awake" else "active" if is_active else "idle"
            self.found[f"{state}_cycles"] += 1
        self.move()

    # refreshes

    def interval(self) -> int:
        return self.t.trefi_cycles // self.dram.n_ranks

    def call_refreshes(self, clock: int) -> None:
        if clock > 0 and clock % self.interval() == 0:
            rank = self.n_refreshes_begun % self.dram.n_ranks
            self.n_refreshes_begun += 1
            self.refreshes.append(rank)
        while self.refreshes and self.ranks[self.refreshes[0]].state == "self_refresh":
            self.refreshes.popleft()  # the rank sees to it itself

    def next_refresh(self, rank: int, clock: int) -> int:
        """The cycle in which `rank` is due, which may be past."""
        if rank in self.refreshes:
            return clock
        number = self.n_refreshes_begun
        while number % self.dram.n_ranks != rank:
            number += 1
        return (number + 1) * self.interval()

    def refresh(self, clock: int, is_at_rest: bool) -> bool:
        if not self.refreshes:
            return False
        banks = self.banks_of(self.refreshes[0])
        if self.close_a_row(clock, banks):
            return True
        if all(bank.open_row is None and bank.not_before["refresh"] <= clock for bank in banks):
            for bank in banks:
                bank.hold("activate", clock + self.t.trfc_cycles)
                bank.hold("refresh", clock + self.t.trfc_cycles)
            if is_at_rest:
                self.ranks[self.refreshes[0]].refreshed_until = clock + self.t.trfc_cycles
            self.refreshes.popleft()
            self.found["n_refreshes"] += 1
            return True
        return False

    # idle policy

    def wake(self, clock: int, has_work: bool) -> None:
        for number, rank in enumerate(self.ranks):
            exit_cycles = {"power_down": self.t.txp_cycles, "self_refresh": self.t.txs_cycles}.get(rank.state)
            if exit_cycles is None:
                continue
            is_due = rank.state == "power_down" and self.next_refresh(number, clock) - exit_cycles <= clock
            if has_work or is_due:
                rank.state = "awake"
                for bank in self.banks_of(number):
                    bank.hold("activate", clock + exit_cycles)
                    bank.hold("refresh", clock + exit_cycles)

    def rest(self, clock: int) -> None:
        for number, rank in enumerate(self.ranks):
            banks = self.banks_of(number)
            if rank.state != "awake":
                continue
            if self.close_a_row(clock, banks):
                return
            exit_cycles = self.t.txp_cycles if self.idle == "power_down" else 0
            is_quiet = all(bank.open_row is None and bank.not_before["refresh"] <= clock for bank in banks)
            if is_quiet and self.idle != "standby" and clock < self.next_refresh(number, clock) - exit_cycles:
                rank.state = str(self.idle)

    def close_a_row(self, clock: int, banks: list[Bank]) -> bool:
        for bank in banks:
            if bank.open_row is not None and bank.not_before["precharge"] <= clock:
                self.precharge(clock, bank, for_conflict=False)
                return True
        return False

    # commands

    def serve(self, clock: int) -> bool:
        """The first command that is ready, of the first queue that has one, after the one served last."""
        n_banks = len(self.banks)
        for number in [(self.turn + 1 + i) % n_banks for i in range(n_banks)]:
            bank = self.banks[number]
            if self.refreshes and bank.rank == self.refreshes[0]:
                continue
            for request in bank.queue:
                command = bank.next_command(request)
                if bank.not_before[command] > clock:
                    continue
                if command == "precharge" and not bank.may_close(request):
                    continue
                if command == "activate" and not self.may_activate(clock, bank):
                    continue
                self.turn = number
                if command == "precharge":
                    self.precharge(clock, bank, for_conflict=True)
                elif command == "activate":
                    self.activate(clock, bank, request.row)
                else:
                    self.access(clock, bank, request)
                return True
        return False

    def may_activate(self, clock: int, bank: Bank) -> bool:
        recent = [cycle for cycle in self.ranks[bank.rank].activated if cycle > clock - self.t.tfaw_cycles]
        return len(recent) < N_ACTIVATES_IN_FAW

    def activate(self, clock: int, bank: Bank, row: int) -> None:
        t = self.t
        bank.open_row, bank.n_accesses = row, 0
        self.ranks[bank.rank].activated.append(clock)
        bank.hold("activate", clock + t.tras_cycles + t.trp_cycles)
        bank.hold("read", clock + t.trcd_cycles)
        bank.hold("write", clock + t.trcd_cycles)
        bank.hold("precharge", clock + t.tras_cycles)
        for other in self.banks_of(bank.rank):
            other.hold("activate", clock + t.trrd_cycles)
        self.found["n_activates"] += 1

    def precharge(self, clock: int, bank: Bank, for_conflict: bool) -> None:
        bank.open_row, bank.follows_conflict = None, for_conflict
        bank.hold("activate", clock + self.t.trp_cycles)
        bank.hold("refresh", clock + self.t.trp_cycles)
        self.found["n_precharges"] += 1

    def access(self, clock: int, bank: Bank, request: Request) -> None:
        t = self.t
        read_cycles, write_cycles = t.cl_cycles + t.burst_cycles, t.cwl_cycles + t.burst_cycles
        bank.queue.remove(request)
        kind = "hits" if bank.n_accesses else "conflicts" if bank.follows_conflict else "misses"
        self.found[f"n_row_{kind}"] += 1
        bank.n_accesses += 1
        for other in self.banks:
            same = other.rank == bank.rank
            if request.is_write:
                data_end_cycles = write_cycles + t.trtrs_cycles - t.cl_cycles
                other.hold("read", clock + (write_cycles + t.twtr_cycles if same else data_end_cycles))
                other.hold("write", clock + t.burst_cycles)
            else:
                other.hold("read", clock + t.burst_cycles + (0 if same else t.trtrs_cycles))
                other.hold("write", clock + read_cycles + t.trtrs_cycles - t.cwl_cycles)
        if request.is_write:
            bank.hold("precharge", clock + write_cycles + t.twr_cycles)
            self.busy_until = max(self.busy_until, clock + write_cycles)
            self.found["n_writes"] += 1
        else:
            bank.hold("precharge", clock + t.trtp_cycles)
            self.busy_until = max(self.busy_until, clock + read_cycles)
            self.in_flight.append((clock + read_cycles, request))
            self.found["n_reads"] += 1

    # requests

    def same_burst(self, burst: int, is_write: bool) -> Request | None:
        """A request for a burst that is still to be served."""
        everywhere = [*self.reads, *self.writes, *(request for bank in self.banks for request in bank.queue)]
        same = [request for request in everywhere if request.burst == burst and request.is_write == is_write]
        assert len(same) <= 1
        return same[0] if same else None

    def move(self) -> None:
        """One request goes from those that wait to the queue of its bank."""
        no_commands = not any(bank.queue for bank in self.banks)
        is_pressing = len(self.writes) == N_WAITING or (len(self.writes) > DRAIN_ABOVE and no_commands)
        if self.n_draining == 0 and is_pressing:
            self.n_draining = len(self.writes)
        if self.n_draining:
            request = self.first_with_room(self.writes)
            if request is None:
                return
            if self.same_burst(request.burst, is_write=False) is None:
                self.n_draining -= 1
                self.queue(self.writes, request)
                return
            self.n_draining = 0
        request = self.first_with_room(self.reads)
        if request is not None:
            self.queue(self.reads, request)

    def first_with_room(self, waiting: list[Request]) -> Request | None:
        return next((request for request in waiting if len(self.banks[request.bank].queue) < N_QUEUED), None)

    def queue(self, waiting: list[Request], request: Request) -> None:
        waiting.remove(request)
        self.banks[request.bank].queue.append(request)

    def has_room(self, is_write: bool) -> bool:
        return len(self.writes if is_write else self.reads) < N_WAITING

    def enter(self, entered: int, request: Request) -> None:
        waiting_write = self.same_burst(request.burst, is_write=True)
        waiting_read = self.same_burst(request.burst, is_write=False)
        if request.is_write and waiting_write:
            self.found["n_merged_writes"] += 1
        elif request.is_write:
            self.writes.append(request)
        elif waiting_write:
            self.found["n_forwarded_reads"] += 1
            self.in_flight.append((entered + 1, request))
        elif waiting_read:
            self.found["n_merged_reads"] += 1
            waiting_read.entered.append(entered)
        else:
            self.reads.append(request)

    def returned(self, clock: int) -> Iterator[Request]:
        """Reads that come back in this cycle."""
        yield from [request for done, request in self.in_flight if done == clock]
        self.in_flight = [(done, request) for done, request in self.in_flight if done != clock]

    def is_reading(self) -> bool:
        queued = [request for bank in self.banks for request in bank.queue if not request.is_write]
        return bool(self.reads or queued or self.in_flight)


def locate(dram: BankedDram, address: int) -> tuple[int, Request]:
    """Channel and request of a read of `address`, entered never."""
    sizes = {
        "row": dram.n_rows,
        "rank": dram.n_ranks,
        "bank": dram.n_banks,
        "column": dram.row_bytes // dram.burst_bytes,
        "channel": dram.n_channels,
    }
    burst = address % mib_to_bytes(dram.capacity_mib) // dram.burst_bytes
    rest, at = burst, {"rank": 0, "channel": 0}
    for name in reversed(dram.address_map.split("-")):
        at[name], rest = rest % sizes[name], rest // sizes[name]
    return at["channel"], Request(burst, at["row"], at["rank"] * dram.n_banks + at["bank"], False, [])


def replay(
    dram: BankedDram,
    requests: DramRequests,
    n_outstanding: int | None = None,
    idle: Idle | None = None,
    window_cycles: int = 0,
) -> dict[str, int]:
    """Counts of a replay by their names in DramReplay, those that are not 0, and `latency_cycles` of all reads."""
    found: Counter[str] = Counter()
    channels = [Channel(dram, idle, found) for _ in range(dram.n_channels)]
    to_enter = deque(zip(requests.addresses, requests.writes, requests.earliest_cycles, strict=True))
    clock = n_in_flight = last_cycle = 0
    while to_enter or any(channel.is_reading() for channel in channels) or clock < max(last_cycle + 1, window_cycles):
        for channel in channels:
            for request in channel.returned(clock):
                n_in_flight -= len(request.entered)
                found["latency_cycles"] += sum(clock - entered for entered in request.entered)
                last_cycle = max(last_cycle, clock)
            channel.tick(clock)
        if to_enter:
            address, is_write, earliest = to_enter[0]
            number, request = locate(dram, int(address))
            is_allowed = is_write or not n_outstanding or n_in_flight < n_outstanding
            if earliest <= clock and channels[number].has_room(is_write) and is_allowed:
                to_enter.popleft()
                request.is_write, request.entered = bool(is_write), [clock + 1]
                channels[number].enter(clock + 1, request)
                if is_write:
                    last_cycle = max(last_cycle, clock + 2)  # a posted write is acknowledged in the next cycle but one
                else:
                    n_in_flight += 1
        clock += 1
    found["cycles"] = clock
    return {name: count for name, count in found.items() if count}
