"""One thread of a team: which share of the work is its own, its scratch memory, where the rows
stand that it reads, and the rows of the next batch that it asks the memory for meanwhile."""

from libc.stdint cimport int64_t, uint64_t

from .csrc cimport hl_source, hl_team


cdef extern from *:
    """
    /* The empty statement keeps compilers from dropping a loop of nothing else. */
    #define hotloop_prefetch(address)            \\
        do {                                     \\
            __builtin_prefetch((address), 0, 2); \\
            __asm__ volatile("");                \\
        } while (0)
    /* Compilers leave out the instruction without a flag; CPUs that lack it do nothing at it. */
    #ifdef __x86_64__
    #define hotloop_prefetch_to_write(address) \\
        __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(address)))
    #else
    #define hotloop_prefetch_to_write(address) __builtin_prefetch((address), 1, 3)
    #endif
    """
    void hotloop_prefetch(const void *address) noexcept nogil
    void hotloop_prefetch_to_write(const void *address) noexcept nogil


cdef enum:
    CACHE_LINE = 64


# Rows that are wanted soon. They are asked for line by line, in step with the work that goes
# on meanwhile, so that memory answers before they are gathered and never holds up that work.
cdef struct Ahead:
    const hl_source *sources
    const ptrdiff_t *row_bytes  # of each source; 0 for one that caches hold anyway
    int n_sources
    double lines_per_flop  # 0: nothing to ask for
    bint all_rows  # each worker reads them all, not its share of them
    ptrdiff_t first_part, last_part, parts  # which part of each row it reads
    const int64_t *order
    ptrdiff_t rows
    # What comes next.
    double due
    int source
    ptrdiff_t row
    ptrdiff_t at


cdef struct Worker:
    int number
    int n_workers
    hl_team *team
    char *scratch
    const void **addresses  # room for those of a matrix's rows
    const void **in_place  # those of the batch's rows in the user's array
    uint64_t control  # the floating-point mode that Python runs in
    Ahead ahead


cdef inline ptrdiff_t share(ptrdiff_t n, ptrdiff_t part, ptrdiff_t parts) noexcept nogil:
    """Where one of equal parts of n things begins; where the next begins, it ends."""
    return part * n if parts == 1 else n * part // parts


cdef inline void look_ahead(Worker *worker, const int64_t *order, ptrdiff_t rows) noexcept nogil:
    """Takes what the worker reads of the `rows` that `order` begins with as what is wanted next."""
    cdef Ahead *ahead = &worker.ahead
    cdef ptrdiff_t first = 0, stop = rows
    if not ahead.all_rows:
        first = share(rows, worker.number, worker.n_workers)
        stop = share(rows, worker.number + 1, worker.n_workers)
    ahead.order = order + first
    ahead.rows = stop - first
    ahead.due, ahead.source, ahead.row, ahead.at = 0, 0, 0, 0


cdef inline void ask_ahead(Ahead *ahead, ptrdiff_t flops) noexcept nogil:
    """Asks for as many lines as fall due with this much work done."""
    cdef ptrdiff_t lines
    if ahead.lines_per_flop == 0:
        return
    ahead.due += ahead.lines_per_flop * flops
    lines = <ptrdiff_t> ahead.due
    ahead.due -= lines
    while lines > 0 and ahead.source < ahead.n_sources:
        if ahead.row == ahead.rows or ahead.row_bytes[ahead.source] == 0:
            ahead.source += 1
            ahead.row, ahead.at = 0, 0
        else:
            lines -= ask_for_row(ahead, lines)


cdef inline ptrdiff_t ask_for_row(Ahead *ahead, ptrdiff_t most) noexcept nogil:
    """Asks for lines of one row, at most so many; returns how many."""
    cdef const hl_source *source = &ahead.sources[ahead.source]
    cdef const char *row = source.data + ahead.order[ahead.row] * source.row_stride
    cdef ptrdiff_t size = ahead.row_bytes[ahead.source]
    cdef ptrdiff_t first = max(ahead.at, share(size, ahead.first_part, ahead.parts))
    # One line more than the row has bytes for: it seldom begins where a line does.
    cdef ptrdiff_t end = share(size, ahead.last_part, ahead.parts) + CACHE_LINE
    cdef ptrdiff_t stop = min(end, first + most * CACHE_LINE), at = first
    while at < stop:
        hotloop_prefetch(row + at)
        at += CACHE_LINE
    ahead.at = at
    if at >= end:
        ahead.row += 1
        ahead.at = 0
    return (at - first) // CACHE_LINE


cdef inline void ask_to_write(char *start, ptrdiff_t size) noexcept nogil:
    """Asks for all of some bytes, and for no other core to keep them."""
    cdef ptrdiff_t at = 0
    while at < size:
        hotloop_prefetch_to_write(start + at)
        at += CACHE_LINE


cdef inline void ask_for(const char *start, ptrdiff_t size) noexcept nogil:
    """Asks for all of some bytes."""
    cdef ptrdiff_t at = 0
    if start == NULL:
        return
    while at < size:
        hotloop_prefetch(start + at)
        at += CACHE_LINE
