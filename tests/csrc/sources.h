/* Random hl_sources over all element types and memory layouts, and what their elements are. */
#ifndef SOURCES_H
#define SOURCES_H

#include "hotloop.h"

enum { DTYPES = HL_BOOL + 1 };

extern const int dtype_bytes[DTYPES];

/* The numbers of row and element as long double, which holds every type's: its byte order put
 * right, half precision decoded, truth values 0 or 1. */
long double source_value(const hl_source *source, ptrdiff_t row, const ptrdiff_t *index);

/* rows rows of dim[0] x ... elements in a room of exactly their size, filled with random bytes.
 * The dimensions, rows among them, lie in memory in any order, some backwards, some repeated, with
 * gaps that leave nothing aligned. None of dim is 1, unless it is alone. */
hl_source random_source(hl_dtype dtype, int swapped, ptrdiff_t rows, int rank,
                        const ptrdiff_t *dim);

/* Contiguous rows in a room of their own. */
hl_source plain_source(hl_dtype dtype, int swapped, ptrdiff_t rows, ptrdiff_t length);

/* Elements of one row; the index of the next one. */
ptrdiff_t row_length(const hl_source *source);
void next_index(const hl_source *source, ptrdiff_t *index);

/* first + n row numbers, some of them repeated. */
int64_t *random_order(ptrdiff_t first, ptrdiff_t n, ptrdiff_t rows);

#endif
