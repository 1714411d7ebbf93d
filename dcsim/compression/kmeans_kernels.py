"""The inner loops of one-dimensional k-means, compiled by numba. Imported only where values are clustered or coded.

`values` ascend. `mass` and `sums` are prefix sums, one longer than `values`: of the weights, and of weight x value.
A mass of None says that every value weighs 1; numba compiles that case apart.
"""

from heapq import heappop, heappush

import numpy as np
from numba import njit

SETTLING_ROUNDS = 1000  # enough for 64 centroids; 0.3 ms at 32


@njit(cache=True)
def sort_float32(bits, ordered, scratch):
    """Radix sort of float32 bit patterns into `ordered`, by a byte of their keys at a time, the lowest first."""
    places = np.zeros((4, 256), np.uint32)
    for i in range(len(bits)):
        key = ascending_key(bits[i])
        for byte in range(4):
            places[byte, (key >> np.uint32(8 * byte)) & np.uint32(255)] += np.uint32(1)
    for byte in range(4):
        start = np.uint32(0)
        for value in range(256):
            count = places[byte, value]
            places[byte, value] = start
            start += count
    for i in range(len(bits)):
        key = ascending_key(bits[i])
        scratch[next_place(key, 0, places)] = key
    for byte in range(1, 3):
        for i in range(len(bits)):
            ordered[next_place(scratch[i], byte, places)] = scratch[i]
        ordered, scratch = scratch, ordered
    for i in range(len(bits)):
        key = scratch[i]
        ordered[next_place(key, 3, places)] = key ^ (np.uint32(0x80000000) | np.uint32(np.int32(~key) >> 31))


@njit(cache=True)
def ascending_key(bits):
    """As unsigned numbers, positive floats ascend once the sign bit is set, negative ones once all bits are flipped."""
    return bits ^ (np.uint32(np.int32(bits) >> 31) | np.uint32(0x80000000))


@njit(cache=True)
def next_place(key, byte, places):
    """Where the next key with that byte goes."""
    value = (key >> np.uint32(8 * byte)) & np.uint32(255)
    at = places[byte, value]
    places[byte, value] = at + np.uint32(1)
    return at


@njit(cache=True)
def prefix_sums(values, weights, sums):
    """Fill `sums`, adding from the lowest value on."""
    total = 0.0
    sums[0] = total
    for i in range(len(values)):
        total += np.float64(values[i]) if weights is None else values[i] * weights[i]
        sums[i + 1] = total


@njit(cache=True)
def run_end(values, bound, near):
    """How many `values` do not exceed `bound`: a search that leaps from `near` in steps that grow, then halves."""
    step = 1
    if near < len(values) and values[near] <= bound:
        low = near + 1
        high = low + step
        while high < len(values) and values[high] <= bound:
            low = high + 1
            step *= 4
            high = low + step
        high = min(high, len(values))
    else:
        high = near
        low = high - step
        while low >= 0 and values[low] > bound:
            high = low
            step *= 4
            low = high - step
        low = max(low + 1, 0)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] <= bound:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, error_model="numpy")
def lloyd(values, mass, sums, centroids, is_bare):
    """Move ascending `centroids` to their fixed point. The n + 1 edges of their runs, and the number of rounds.

    In exact arithmetic no state returns before the fixed point; with rounding it could, so a state is remembered at
    every power of two and its return ends the search too (Brent, BIT 20, 1980): there are finitely many states.
    Rounding can also put the mean outside its run; a bare mean is left there, any other is moved to the run's end.
    """
    n = len(centroids)
    edges = np.zeros(n + 1, np.int64)
    edges[n] = len(values)
    shifts = np.zeros(n + 1, np.int64)
    moved = np.ones(n, np.bool_)
    means = centroids.copy()
    remembered = centroids.copy()
    n_rounds = 0
    remember_at = 1
    while True:
        n_rounds += 1
        for c in range(n - 1):
            before = edges[c + 1]
            if moved[c] or moved[c + 1]:  # an edge tends to move on as it moved before
                near = min(max(before + shifts[c + 1], 0), len(values))
                edges[c + 1] = run_end(values, (centroids[c] + centroids[c + 1]) / 2, near)
            shifts[c + 1] = edges[c + 1] - before
        fixed = returned = True
        for c in range(n):
            low, high = edges[c], edges[c + 1]
            size = high - low if mass is None else mass[high] - mass[low]
            mean = centroids[c]
            if size > 0:  # small weights may drown beside large ones, so a run can seem empty
                mean = (sums[high] - sums[low]) / size
                if not is_bare:
                    mean = min(max(mean, values[low]), values[high - 1])
            if c > 0 and mean < means[c - 1]:  # by rounding only
                mean = means[c - 1]
            means[c] = mean
            moved[c] = mean != centroids[c]
            fixed &= not moved[c]
            returned &= mean == remembered[c]
        if fixed or returned:
            return edges, n_rounds
        if n_rounds == remember_at:
            remember_at *= 2
            remembered[:] = means
        centroids[:] = means


@njit(cache=True, error_model="numpy")
def settle(lowest, highest, mass, sums, centroids):
    """Move `centroids` to about their fixed point, as if each bucket held its mean all over its range.

    With edges that can lie within a bucket, the rounds do not get stuck on the way as they do among points.
    """
    n = len(centroids)
    near = np.zeros(n, np.int64)
    mass_below = np.zeros(n + 1)
    sum_below = np.zeros(n + 1)
    mass_below[n] = mass[-1]
    sum_below[n] = sums[-1]
    for _ in range(SETTLING_ROUNDS):
        for c in range(n - 1):
            edge = (centroids[c] + centroids[c + 1]) / 2
            near[c] = run_end(lowest, edge, near[c])
            bucket = max(near[c] - 1, 0)
            share = min(max((edge - lowest[bucket]) / (highest[bucket] - lowest[bucket]), 0.0), 1.0)
            mass_below[c + 1] = mass[bucket] + share * (mass[bucket + 1] - mass[bucket])
            sum_below[c + 1] = sums[bucket] + share * (sums[bucket + 1] - sums[bucket])
        for c in range(n):
            if mass_below[c + 1] > mass_below[c]:
                centroids[c] = (sum_below[c + 1] - sum_below[c]) / (mass_below[c + 1] - mass_below[c])
            if c > 0 and centroids[c] < centroids[c - 1]:  # by rounding only
                centroids[c] = centroids[c - 1]


@njit(cache=True, fastmath={"reassoc", "contract"})
def squared_error(values, weights, edges, centroids):
    """Sum of weight x squared distance to the run's centroid."""
    total = 0.0
    for c in range(len(centroids)):
        members = values[edges[c] : edges[c + 1]]
        of_run = 0.0
        if weights is None:
            for i in range(len(members)):
                of_run += (members[i] - centroids[c]) ** 2
        else:
            member_weights = weights[edges[c] : edges[c + 1]]
            for i in range(len(members)):
                of_run += member_weights[i] * (members[i] - centroids[c]) ** 2
        total += of_run
    return total


@njit(cache=True)
def split(values, mass, n_runs):
    """Edges of at most `n_runs` runs: again and again halve the range of the run with the largest mass x width^2.

    That bounds its squared error, so the runs are about the best quantizer of that many levels, for any distribution.
    Runs of equal values stay whole.
    """
    heap = [(-1.0, 0, len(values))]
    if values[0] == values[-1]:
        heap[0] = (0.0, 0, len(values))
    while len(heap) < n_runs and heap[0][0] < 0:
        _, low, high = heappop(heap)
        bound = (np.float64(values[low]) + np.float64(values[high - 1])) / 2
        if bound >= values[high - 1]:  # no float between the two
            bound = np.float64(values[low])
        middle = low + run_end(values[low:high], bound, (high - low) >> 1)
        for first, last in ((low, middle), (middle, high)):
            run_mass = np.float64(last - first) if mass is None else mass[last] - mass[first]
            width = np.float64(values[last - 1]) - np.float64(values[first])
            heappush(heap, (-np.sqrt(run_mass) * width, first, last))
    edges = np.empty(len(heap) + 1, np.int64)
    edges[len(heap)] = len(values)
    for i in range(len(heap)):
        edges[i] = heap[i][1]
    edges.sort()
    return edges


@njit(cache=True, error_model="numpy")
def moments(values, weights):
    """Prefix sums of weight x (1, x, x^2), with x from the median.

    They also begin at the median, so outliers on either side do not drown what lies between.
    """
    n = len(values)
    half = weights.sum() / 2
    median = 0
    below = weights[0]
    while below < half and median < n - 1:
        median += 1
        below += weights[median]
    sums = np.zeros((3, n + 1))
    for i in range(median, n):
        x = values[i] - values[median]
        sums[0, i + 1] = sums[0, i] + weights[i]
        sums[1, i + 1] = sums[1, i] + weights[i] * x
        sums[2, i + 1] = sums[2, i] + weights[i] * x * x
    for i in range(median - 1, -1, -1):
        x = values[i] - values[median]
        sums[0, i] = sums[0, i + 1] - weights[i]
        sums[1, i] = sums[1, i + 1] - weights[i] * x
        sums[2, i] = sums[2, i + 1] - weights[i] * x * x
    return sums


@njit(cache=True, error_model="numpy")
def optimal_edges(values, weights, n_runs):
    """Edges of the `n_runs` runs of least squared error (Wang and Song, The R Journal 3(2), 2011), n_runs <= n < 2^16.

    The last run of the best partition of a prefix begins no earlier for a longer prefix or for one more run, so ends
    are taken in the order of a binary tree, each between the cuts of its neighbours: O(n_runs n log n).
    """
    n = len(values)
    sums = moments(values, weights)
    mass, first, second = sums[0], sums[1], sums[2]
    cuts = np.zeros((n_runs, n + 1), np.uint16)
    least = np.empty(n + 1)
    for end in range(1, n + 1):
        total = first[end] - first[0]
        least[end] = max(second[end] - second[0] - total * total / (mass[end] - mass[0]), 0.0)
    after = np.empty(n + 1)
    for run in range(1, n_runs):
        shortest = run + 1 if run < n_runs - 1 else n
        n_ends = n + 1 - shortest
        stride = 1
        while stride <= n_ends:
            stride *= 2
        while stride > 0:
            for at in range(stride - 1, n_ends, 2 * stride):
                end = shortest + at
                low = max(run, np.int64(cuts[run - 1, end]))
                if at >= stride:
                    low = max(low, np.int64(cuts[run, end - stride]))
                high = end
                if at + stride < n_ends:
                    high = min(high, np.int64(cuts[run, end + stride]) + 1)
                best = np.inf
                best_cut = low
                for cut in range(low, max(high, low + 1)):
                    total = first[end] - first[cut]
                    error = second[end] - second[cut] - total * total / (mass[end] - mass[cut])
                    error = least[cut] + max(error, 0.0)
                    if error < best:
                        best = error
                        best_cut = cut
                after[end] = best
                cuts[run, end] = best_cut
            stride //= 2
        least, after = after, least
    edges = np.empty(n_runs + 1, np.int64)
    edges[n_runs] = n
    for run in range(n_runs - 1, -1, -1):
        edges[run] = cuts[run, edges[run + 1]]
    return edges


@njit(cache=True)
def merge(single, means, counts, values, weights, mass, sums):
    """Single values, which weigh 1, and means, which weigh their counts, in one order, with prefix sums. All filled."""
    mass[0] = sums[0] = 0.0
    at = taken = 0
    for i in range(len(means) + 1):
        while taken < len(single) and (i == len(means) or single[taken] < means[i]):
            values[at] = single[taken]
            weights[at] = 1.0
            mass[at + 1] = mass[at] + 1.0
            sums[at + 1] = sums[at] + values[at]
            at += 1
            taken += 1
        if i < len(means):
            values[at] = means[i]
            weights[at] = counts[i]
            mass[at + 1] = mass[at] + counts[i]
            sums[at + 1] = sums[at] + counts[i] * means[i]
            at += 1


@njit(cache=True)
def nearest_codes(values, midpoints, lowest, cells_per_unit, starts, zero_apart, codes):
    """Fill `codes` with the number of midpoints below each value; `zero_apart`: with one more, and 0 for zeros.

    Cells of equal width know how many midpoints lie in the cells before: `starts`, all zero at first, one more than
    there are cells. Only the few midpoints in the value's own cell are compared. That is exact whatever the rounding,
    and even with infinitely many cells per unit, for the number of its cell never falls as a value grows.
    """
    last = np.float64(len(starts) - 2)
    for i in range(len(midpoints)):
        at = (midpoints[i] - lowest) * cells_per_unit
        at = at if at > 0 else 0.0  # also for 0 x infinity
        starts[np.int64(at if at < last else last) + 1] += np.uint16(1)
    for cell in range(1, len(starts)):
        starts[cell] += starts[cell - 1]
    for i in range(len(values)):
        value = np.float64(values[i])
        at = (value - lowest) * cells_per_unit
        at = at if at > 0 else 0.0
        cell = np.uint64(np.int64(at if at < last else last))
        low = np.int64(starts[cell])
        high = np.int64(starts[cell + np.uint64(1)])
        while low < high:
            middle = (low + high) >> 1
            if midpoints[middle] < value:
                low = middle + 1
            else:
                high = middle
        codes[i] = (low + 1) * (value != 0) if zero_apart else low
