/* The C ABI of a compiled training step.
 *
 * A step.so is freestanding: it needs no library and has no undefined symbol. It exports one symbol, FTRT_STEP_SYMBOL,
 * a constant of type ftrt_step. Everything that the code needs from outside comes in through ftrt_services.
 *
 * How a program runs a step:
 *   1. dlopen the file, look up FTRT_STEP_SYMBOL, compare abi_version with FTRT_ABI_VERSION.
 *   2. Read the manifest (a FlatBuffer, lib/Schema/manifest.fbs): slabs to take, tensors with their places, entries.
 *   3. Take each slab once (size and alignment from the manifest), fill parameters, states and constants. Slabs whose
 *      place is far have no address: they are bytes that far_write and far_read move (a file, say).
 *   4. Per step: write the entry's input tensors (tokens, labels, ...) at their places, call the entry, read its
 * outputs.
 *
 * C11; includes nothing of the project. All numbers are in the byte order of the machine (little endian).
 */
#ifndef FTRT_STEP_H
#define FTRT_STEP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a layout or a meaning below changes. */
#define FTRT_ABI_VERSION 2u
#define FTRT_STEP_SYMBOL "ftrt_step_v1"

/* One task of a parallel loop. `task` counts from 0; `thread` is below ftrt_services.threads, and no two tasks that run
 * at the same time see the same `thread` (it selects the thread's part of planned scratch memory). */
typedef void (*ftrt_task_fn)(void *args, uint64_t task, uint32_t thread);

/* What a step gets from its host. Functions never allocate. Only copies of the far tier can fail; far_wait tells. */
typedef struct ftrt_services {
  uint32_t abi_version; /* FTRT_ABI_VERSION */
  uint32_t size;        /* sizeof(ftrt_services) */
  void *context;        /* handed back to every function */
  uint32_t threads;     /* between 1 and the manifest's `threads` */
  uint32_t reserved;
  /* Calls body(args, task, thread) once for each task in [0, tasks), in any order and on any thread; returns when all
   * have returned. The result must not depend on the order: compiled steps see to that. */
  void (*parallel_for)(void *context, ftrt_task_fn body, void *args, uint64_t tasks);
  /* Copies between near memory and the far tier; for steps with a far slab, else they may be NULL. Both begin a copy of
   * `bytes` bytes at byte `offset` of slab `slab` (its index in the manifest) and return, at once or when there is room
   * in a queue, with a number for far_wait. Writes happen in the order in which they were begun, and so do reads; a
   * write and a read may overtake each other. Near memory must stay as it is, and the target unused, until the copy was
   * waited for. Called by the thread that called the entry. */
  uint64_t (*far_write)(void *context, uint32_t slab, uint64_t offset, const void *from, uint64_t bytes);
  uint64_t (*far_read)(void *context, uint32_t slab, uint64_t offset, void *to, uint64_t bytes);
  /* Returns when the copy is over: 0, or anything else when it, or any copy before it, has failed. */
  int32_t (*far_wait)(void *context, uint64_t copy);
} ftrt_services;

/* Scalar inputs of an entry. The entry copies those that it uses to their planned places before anything else runs. */
typedef struct ftrt_scalars {
  float learning_rate; /* of this step */
  float inv_tokens;    /* 1 / valid tokens of the whole step, counted from the labels; 0 when there are none */
  uint64_t step;       /* 1-based number of this update (bias correction, random bits) */
  uint64_t micro;      /* 0-based number of the micro-batch within the step */
  uint64_t seed;       /* random bits are a function of (seed, step, micro, op name, element) */
  uint64_t row;        /* `logits`: the row of the batch, 0-based */
  uint64_t position;   /* `logits`: the position in that row whose next token is asked for, 0-based */
} ftrt_scalars;

/* Runs an entry. `slabs[i]` is the base address of the manifest's slab i, anything for a far one. Returns 0, or a code
 * below. */
typedef int32_t (*ftrt_entry_fn)(const ftrt_services *services, void *const *slabs, const ftrt_scalars *scalars);

enum {
  FTRT_OK = 0,
  FTRT_BAD_ABI = 1,     /* services->abi_version or size is not this step's */
  FTRT_BAD_THREADS = 2, /* services->threads is 0 or above the manifest's `threads` */
  FTRT_FAR_FAILED = 3,  /* far_wait told of a failure; what the step has written is worthless, and copies may be left */
};

typedef struct ftrt_step {
  uint32_t abi_version; /* FTRT_ABI_VERSION */
  uint32_t size;        /* sizeof(ftrt_step) */
  const uint8_t *manifest;
  uint64_t manifest_size;
  uint64_t entry_count;         /* equals the manifest's number of entries, in its order */
  const ftrt_entry_fn *entries; /* entry_count functions */
} ftrt_step;

#ifdef __cplusplus
}
#endif
#endif
