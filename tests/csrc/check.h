/* What the parts of the test program share: the table under test, numbers, memory, failures. */
#ifndef CHECK_H
#define CHECK_H

#include "hotloop.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) ((ptrdiff_t)(sizeof(array) / sizeof *(array)))

/* Around the vector lengths, and far from all of them. */
extern const ptrdiff_t sizes[8];

/* ------------------------------------------------------- the table under test */

extern const hl_kernels *K;

/* Element i of an array of K's type. Writing rounds to that type. */
double get(const void *x, ptrdiff_t i);
void put(void *x, ptrdiff_t i, double value);

double rounded(double value); /* as it is where no table is under test */

/* From 1 to the next number of K's type, and from 0. */
double epsilon(void);
double tiny(void);

/* a * b + c as K's instruction set computes it: rounded once where it has fused products. */
double multiply_add(double a, double b, double c);

ptrdiff_t panel_width(ptrdiff_t n);

/* ------------------------------------------------------------- random numbers */

void seed_random(uint64_t seed);
uint64_t random_word(void);
double uniform(double low, double high);
ptrdiff_t below(ptrdiff_t n); /* 0 .. n - 1 */
ptrdiff_t any_size(void);     /* one of sizes */

/* How many of the elements left to take next: of pieces of up to two vectors, many elements stand
 * in a vector that is not whole. */
ptrdiff_t any_piece(ptrdiff_t left);

void fill(void *x, ptrdiff_t n, double low, double high);

/* Either sign, and sizes from 2^least to 2^most alike: any term of a sum may be the one whose last
 * bits show. */
void fill_sizes(void *x, ptrdiff_t n, double least, double most);

/* As fill, but one element in eight is 0, infinite, NaN, huge or minute. */
void fill_special(void *x, ptrdiff_t n, double low, double high);

/* ---------------------------------------------------------------------- cases */

/* Where a case's memory lies:
 *   on the heap, exactly sized: AddressSanitizer sees what is touched on either side;
 *   one element further: nothing is aligned;
 *   up to an unreadable page, or right after one: also masked loads and stores trap there, which
 *   no sanitizer instruments. */
enum { PLACES = 4 };
void use_place(int place);

/* From now on a crash prints the case's name first. */
void name_case_on_trap(void);

/* A case has a name for its failures and memory that lives until its end, filled with bytes of
 * ones: NaN in either type. */
void begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void end(void);
void *room(ptrdiff_t n);                         /* n elements of K's type */
void *room_of(ptrdiff_t n, ptrdiff_t itemsize);  /* n elements of another type */
void *copy_of(const void *x, ptrdiff_t n);       /* in a room of its own */
int is_untouched(const void *x, ptrdiff_t i);    /* element i is as room() left it */

/* ------------------------------------------------------------------- failures */

/* Of many failures in a row the first few are told; tell_rest says how many were not. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tell_rest(void);
void expect(int ok, const char *what);

/* The same number: NaN is NaN, and the signs of zeros agree. */
void expect_same(const char *what, ptrdiff_t i, double got, double want);

/* Within slack, or both NaN, or the same infinity. What overflows K's type counts as infinite. */
void expect_near(const char *what, ptrdiff_t i, double got, double want, double slack);

/* The same bits in n elements. */
void expect_equal(const char *what, const void *got, const void *want, ptrdiff_t n);

long failures(void);
long checks(void);

/* ---------------------------------------------------------------------- parts */

/* For each table and place. */
void test_products(void);
void test_gemm_update(void);
void test_elementwise(void);
void test_program(void);
void test_noise(void);
void test_rows(void);
void test_normalization(void);
void test_losses(void);
void test_row_losses(void);
void test_multirow_losses(void);
void test_metrics(void);
void test_optimizers(void);
void test_whole_update(void);
void test_network(void);
void test_gather(void);
void test_indices(void);
void test_steps(void);

/* Once. */
void test_labels(void);
void test_runtime(void);
void test_pool(int with_fork);
void test_step(int with_fork);
void test_accuracy(int64_t every);

#endif
