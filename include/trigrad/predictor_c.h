/* Trained models that decide in nanoseconds, for C and everything that calls C. For C++ there is predictor.h.
 *
 * Link with the library trigrad_realtime. Plan files are written by Python: trigrad.realtime.Predictor(model).save(path).
 */
#ifndef TRIGRAD_PREDICTOR_C_H
#define TRIGRAD_PREDICTOR_C_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define TRIGRAD_NOEXCEPT noexcept
extern "C" {
#else
#define TRIGRAD_NOEXCEPT
#endif
#if defined(TRIGRAD_BUILDING)
#define TRIGRAD_API __attribute__((visibility("default")))
#else
#define TRIGRAD_API
#endif

/* This header's version of the functions below; trigrad_abi_version() is the library's. */
#define TRIGRAD_ABI_VERSION 1

typedef struct trigrad_predictor trigrad_predictor;

/* Bits of `options`. */
enum {
  TRIGRAD_ROWS = 1,            /* many rows per call: pack for tiles of events as well */
  TRIGRAD_FLUSH_DENORMALS = 2, /* take denormals for zero: no longer the model's bits */
  TRIGRAD_LOCK_MEMORY = 4      /* keep the weights from being swapped out */
};

TRIGRAD_API int32_t trigrad_abi_version(void) TRIGRAD_NOEXCEPT;

/* A predictor from a plan file, or from its bytes in memory (which may go afterwards). The file is validated and its self
 * test is run. NULL: trigrad_last_error() says why. */
TRIGRAD_API trigrad_predictor* trigrad_predictor_load(const char* path, uint32_t options) TRIGRAD_NOEXCEPT;
TRIGRAD_API trigrad_predictor* trigrad_predictor_from_bytes(const void* bytes, size_t count,
                                                            uint32_t options) TRIGRAD_NOEXCEPT;
TRIGRAD_API void trigrad_predictor_free(trigrad_predictor* predictor) TRIGRAD_NOEXCEPT;

/* Of this thread's last call that failed; "" at first. Valid until the next failure in this thread. */
TRIGRAD_API const char* trigrad_last_error(void) TRIGRAD_NOEXCEPT;

TRIGRAD_API int32_t trigrad_predictor_inputs(const trigrad_predictor* predictor) TRIGRAD_NOEXCEPT;
TRIGRAD_API int32_t trigrad_predictor_outputs(const trigrad_predictor* predictor) TRIGRAD_NOEXCEPT;
TRIGRAD_API const char* trigrad_predictor_isa(const trigrad_predictor* predictor) TRIGRAD_NOEXCEPT;

/* x[inputs] -> y[outputs], apart from each other. No allocation, no lock, no system call; any number of threads may share a
 * predictor. 1: done. 0: the event has a NaN, which the plan refuses; y is as it was. */
TRIGRAD_API int32_t trigrad_predictor_run(const trigrad_predictor* predictor, const float* x,
                                          float* y) TRIGRAD_NOEXCEPT;

/* x[rows][inputs] -> y[rows][outputs], row by row the bits of trigrad_predictor_run, on as many threads as
 * trigrad_set_num_threads says (at first, as many as there are CPUs). Returns `rows`, or the place of the first row that is refused: then y is as it was. */
TRIGRAD_API int64_t trigrad_predictor_run_rows(const trigrad_predictor* predictor, const float* x, int64_t rows,
                                               float* y) TRIGRAD_NOEXCEPT;
TRIGRAD_API int32_t trigrad_set_num_threads(int32_t threads) TRIGRAD_NOEXCEPT; /* 1: done, 0: refused */

/* Is y[output] >= threshold? Decided by the logit where that is clear. Make the cut once, ask it for every event. 0 as well
 * for an event that the plan refuses, and for an output that is not there. */
typedef struct trigrad_cut {
  float threshold, above, below;
} trigrad_cut;
TRIGRAD_API trigrad_cut trigrad_predictor_cut(const trigrad_predictor* predictor, float threshold) TRIGRAD_NOEXCEPT;
TRIGRAD_API int32_t trigrad_predictor_passes(const trigrad_predictor* predictor, const float* x, trigrad_cut cut,
                                             int32_t output) TRIGRAD_NOEXCEPT;

#if defined(__cplusplus)
}
#endif
#endif
