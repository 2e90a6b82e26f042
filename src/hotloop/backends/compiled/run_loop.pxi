# The run loop: what each thread does, batch after batch and step after step, without the GIL.

# Cython's posix.time names <sys/time.h>, which declares all this only where Python.h happens to
# bring <time.h> with it: that of 3.13 does not.
cdef extern from "<time.h>" nogil:
    ctypedef int clockid_t
    const clockid_t CLOCK_MONOTONIC
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(clockid_t clock, timespec *now)


# What a call of run shares with its team.
cdef struct Run:
    const Step *steps
    int n_steps
    const hl_network_args *network  # of the step that trains it, on one thread; NULL: none
    Batch batches[2]  # one is run while thread 0 prepares the next in the other, in turns
    bint finite
    const int64_t *order  # of each epoch, one after the other
    ptrdiff_t epoch_rows
    ptrdiff_t epoch_batches
    ptrdiff_t batch_size
    ptrdiff_t first_batch
    int n_slots
    double *sums  # of each epoch
    hl_optimizer rule
    double *hyper  # the learning rate first
    const double *rates  # of each batch, where that changes
    hl_powers *powers
    bint updates
    int turns  # batches that one update is for
    int64_t iteration
    char *scratch
    size_t scratch_bytes
    char *addresses
    size_t address_bytes  # of each thread, for each of the two uses that a worker has for them
    const hl_source *in_place  # whose rows are read where they stand; NULL: gathered, as all
    int not_gathered  # its step, or -1
    ptrdiff_t pieces, piece_bytes  # rows that each of its examples is, for the products
    ptrdiff_t panels  # of the narrowest layer that reads them
    ptrdiff_t parts  # that its sums are cut into
    Ahead ahead
    int64_t end  # on the clock, in nanoseconds
    ptrdiff_t clock_every  # walks over the steps between two looks at the clock
    ptrdiff_t at_once  # batches of a walk, at most
    ptrdiff_t done  # batches
    ptrdiff_t count  # to be done
    int64_t *clock  # nanoseconds by thread, step, and waiting or working; NULL: not wanted


cdef void run_on_thread(void *argument, hl_team *team, int thread, int n_threads) noexcept nogil:
    """What each thread of the team does."""
    cdef Run *run = <Run *> argument
    cdef uint64_t control = flush_denormals()
    cdef Worker worker
    worker.number, worker.n_workers, worker.team = thread, n_threads, team
    worker.scratch = run.scratch + thread * spaced(run.scratch_bytes)
    worker.addresses = <const void **> (run.addresses + 2 * thread * spaced(run.address_bytes))
    worker.in_place = <const void **> (<char *> worker.addresses + spaced(run.address_bytes))
    worker.ahead = run.ahead
    worker.control = control
    cdef ptrdiff_t parts = max(run.parts, 1), begin = thread * parts
    worker.ahead.first_part = begin // n_threads
    worker.ahead.last_part = (begin + parts + n_threads - 1) // n_threads
    worker.ahead.parts = parts
    # Where a layer has a part of its sums or a panel for each thread, all of them read all rows.
    worker.ahead.all_rows = parts > 1 or n_threads <= run.panels
    if worker.ahead.all_rows:
        worker.ahead.lines_per_flop *= (
            n_threads * (worker.ahead.last_part - worker.ahead.first_part) / <double> parts
        )
    # Between two batches, the weights of a small network stay in the room of its step.
    if run.network != NULL:
        run.batches[0].kernels.exchange_network(False, &run.network.network, run.network.room)
    run_batches(run, team, &worker)
    if run.network != NULL:
        run.batches[0].kernels.exchange_network(True, &run.network.network, run.network.room)
    restore_denormals(control)


cdef void run_batches(Run *run, hl_team *team, Worker *worker) noexcept nogil:
    """Every batch, every step; thread 0 keeps the books besides."""
    cdef Batch *batch
    cdef const Step *step
    cdef Worker alone = worker[0]
    cdef int64_t *clock = NULL
    cdef int64_t then = 0
    cdef ptrdiff_t turn = 0
    cdef int i
    alone.n_workers = 1
    if worker.number == 0:
        begin_batch(run, &run.batches[0])
    barrier(team)
    if run.clock != NULL:
        clock = run.clock + 2 * worker.number * run.n_steps
        then = nanoseconds()
    while True:
        batch = &run.batches[turn % 2]
        if batch.next_order != NULL:
            look_ahead(worker, batch.next_order, batch.next_rows)
        if run.in_place != NULL:
            find_rows(run, batch, worker.in_place)
        for i in range(run.n_steps):
            if i == run.not_gathered:
                continue
            step = &run.steps[i]
            if step.wait:
                if worker.n_workers > 1:
                    barrier(team)
                if step.verdict and not run.finite:
                    break
            if step.turns and not is_turn_of(step, batch):
                continue
            if clock != NULL:
                then = lap(&clock[2 * i], then)
            do_step(step, batch, worker, &alone)
            if clock != NULL:
                then = lap(&clock[2 * i + 1], then)
        if worker.number == 0:
            end_batch(run, batch)
            batch.last = (
                not run.finite
                or run.done == run.count
                or (turn % run.clock_every == 0 and nanoseconds() >= run.end)
            )
            if not batch.last:
                begin_batch(run, &run.batches[(turn + 1) % 2])
        turn += 1
        barrier(team)
        # Not a variable of the run: thread 0 may have done the next batch before others look.
        if batch.last:
            return


cdef inline bint is_turn_of(const Step *step, const Batch *batch) noexcept nogil:
    """Whether a step that is not done for every batch is done for this one."""
    if (batch.iteration + 1) % step.turns:
        return False
    return not step.frequency or (batch.updates + 1) % step.frequency == 0


cdef inline int64_t nanoseconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t> now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef inline int64_t lap(int64_t *total, int64_t then) noexcept nogil:
    """Adds the time since `then`; returns the time now."""
    cdef int64_t now = nanoseconds()
    total[0] += now - then
    return now


cdef void begin_batch(Run *run, Batch *batch) noexcept nogil:
    """Describes the next batch, or the next few of the epoch."""
    cdef ptrdiff_t number = run.first_batch + run.done
    cdef ptrdiff_t epoch = number // run.epoch_batches
    cdef ptrdiff_t within = number - epoch * run.epoch_batches
    cdef ptrdiff_t left = run.epoch_rows - within * run.batch_size
    batch.count = min(run.at_once, run.epoch_batches - within, run.count - run.done)
    batch.first = within * run.batch_size
    batch.rows = min(batch.count * run.batch_size, left)
    batch.next_order = NULL
    if run.order != NULL:
        batch.order = run.order + epoch * run.epoch_rows
        if run.done + batch.count < run.count:
            # Orders stand one after the other, so the next batch begins where this one ends.
            batch.next_order = batch.order + batch.first + batch.rows
            left -= batch.rows
            batch.next_rows = min(run.batch_size, left if left > 0 else run.epoch_rows)
    batch.iteration = run.iteration + run.done
    batch.updates = batch.iteration // run.turns
    if run.at_once > 1:
        batch.sums = run.sums + epoch * run.n_slots
        return
    memset(batch.sums, 0, run.n_slots * sizeof(double))
    if run.updates:
        if run.rates != NULL:
            run.hyper[0] = run.rates[run.done]
        batch.learning_rate = run.hyper[0]
        prepare_update(run.rule, run.hyper, batch.updates + 1, run.powers, batch.h)


cdef void find_rows(const Run *run, const Batch *batch, const void **rows) noexcept nogil:
    """Where the rows of a batch stand in the user's array."""
    cdef const hl_source *source = run.in_place
    cdef const char *example
    cdef ptrdiff_t i, piece
    cdef int64_t number
    for i in range(batch.rows):
        number = batch.first + i
        if batch.order != NULL:
            number = batch.order[number]
        example = source.data + number * source.row_stride
        for piece in range(run.pieces):
            rows[0] = example + piece * run.piece_bytes
            rows += 1


cdef void end_batch(Run *run, Batch *batch) noexcept nogil:
    """Counts what was done, and adds up the sums of a single batch, which may not count."""
    cdef ptrdiff_t epoch = (run.first_batch + run.done) // run.epoch_batches
    cdef int i
    if run.at_once == 1 and not run.finite:
        batch.count = 0  # the step that found it may have had a copy of the batch
    if run.at_once == 1 and batch.count:
        for i in range(run.n_slots):
            run.sums[epoch * run.n_slots + i] += batch.sums[i]
    run.done += batch.count
