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
 * A step for a GPU (the manifest's `target` is "cuda") has its near slabs in the device's memory, and its entries do
 * not compute: they call ftrt_device, which queues kernels, products and copies on streams. So step 3 also loads the
 * step's modules, finds its kernels and prepares its products, all before the first call; and step 4 waits for the
 * streams before it reads outputs. What an entry calls, with which arguments and in which order, depends on `slabs` and
 * on the address of `scalars` only, never on what is stored there: a host may record the calls of one run, as a CUDA
 * graph, and replay them, as long as both stay where they are. Where the host itself declines what it is asked for
 * (ftrt_device.attention), other calls follow: what it declines is part of what a recording is good for.
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
#define FTRT_ABI_VERSION 7u
#define FTRT_STEP_SYMBOL "ftrt_step_v1"

/* One task of a parallel loop. `task` counts from 0; `thread` is below ftrt_services.threads, and no two tasks that run
 * at the same time see the same `thread` (it selects the thread's part of planned scratch memory). */
typedef void (*ftrt_task_fn)(void *args, uint64_t task, uint32_t thread);

/* Streams of a device. What is queued on one stream runs in order; streams wait for each other by events only. An entry
 * starts and ends on FTRT_STREAM_COMPUTE: the others first wait for an event of it, and at the end it waits for
 * them. */
enum {
  FTRT_STREAM_COMPUTE = 0,
  FTRT_STREAM_COPY_IN = 1,  /* far tier to device */
  FTRT_STREAM_COPY_OUT = 2, /* device to far tier */
  FTRT_STREAM_DECODE = 3,   /* kernels that decode the next part of a weight while the last one is multiplied */
  FTRT_STREAM_COUNT = 4,
};

/* What a step for a GPU gets from its host. Addresses are those of the device, slab bases plus planned offsets. Every
 * function queues its work on `stream` and returns at once; it allocates nothing. It returns 0, or anything else when
 * the work could not be queued or the device has failed: the entry then ends with FTRT_DEVICE_FAILED, and what went
 * wrong, the host has to remember itself. */
typedef struct ftrt_device {
  uint32_t size; /* sizeof(ftrt_device) */
  uint32_t reserved;
  void *context; /* handed back to every function */
  /* Runs kernel number `kernel` of ftrt_step.kernels. Its arguments are addresses, `argument_count` of them, and then
   * the kernel's `sizes`; the array is the caller's and may change after the call. */
  int32_t (*launch)(void *context, uint32_t stream, uint32_t kernel, const uint64_t *addresses);
  /* Runs product number `product` of ftrt_step.products. `addend` is of the type and shape of `d` and may be `d`; 0
   * where the product has none. `workspace` is `workspace_bytes` long; 0 where that is 0. */
  int32_t (*matmul)(void *context, uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend,
                    uint64_t d, uint64_t workspace);
  /* Copies `bytes` bytes, 8 at most, from the ftrt_scalars that the entry was called with. Read when the copy runs: in
   * a replay, what is there then. The host therefore keeps that struct in memory that the device can read. */
  int32_t (*upload)(void *context, uint32_t stream, uint64_t to, const void *from, uint64_t bytes);
  /* Copies between device memory and byte `offset` of the far slab `slab` (its index in the manifest), on the stream
   * for that direction. NULL where the step has no far slab. */
  int32_t (*far_write)(void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t from, uint64_t bytes);
  int32_t (*far_read)(void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t to, uint64_t bytes);
  /* Event number `event`, below ftrt_step.event_count, happens when all that is queued on `stream` now is over; what is
   * queued on `stream` from now on waits for the event as it was last recorded. */
  int32_t (*record)(void *context, uint32_t stream, uint32_t event);
  int32_t (*wait)(void *context, uint32_t stream, uint32_t event);
  /* Computes attention number `attention` of ftrt_step.attentions, or returns FTRT_DECLINED and has done nothing: the
   * step then launches kernels of its own. `addresses` (the array is the caller's and may change after the call) are
   * those of query, key, value, segment_starts, output, lse; then, for a gradient, of the gradients of output, query,
   * key and value; last of the workspace, aligned to 256. Tokens whose segment is they alone are left out: neither
   * their results nor their gradients are written, which the step does itself. */
  int32_t (*attention)(void *context, uint32_t stream, uint32_t attention, const uint64_t *addresses);
} ftrt_device;

/* Returned by ftrt_device.attention. */
enum { FTRT_DECLINED = -1 };

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
  /* For steps for a GPU, which need nothing of `threads` and of the functions above; otherwise it may be NULL. */
  const ftrt_device *device;
} ftrt_services;

/* Scalar inputs of an entry. The entry copies those that it uses to their planned places before anything else runs. */
typedef struct ftrt_scalars {
  float learning_rate; /* of this step */
  float inv_tokens;    /* 1 / valid tokens of the whole step, counted from the labels; 0 when there are none. Where the
                          manifest says `pairs`: 1 / pairs of the whole step of which an answer has a label */
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
  FTRT_NO_DEVICE = 4,   /* the step is for a GPU, and services->device is NULL or not of this step's size */
  FTRT_DEVICE_FAILED = 5, /* a function of ftrt_device did not return 0; as FTRT_FAR_FAILED */
};

/* Code for the device: a cubin, or PTX as text with a 0 at its end, which is counted. Behind a cubin the same functions
 * as PTX, in `text`, for a driver that is older than what made the cubin; NULL and 0 where there is none. */
typedef struct ftrt_module {
  const void *image;
  uint64_t size;
  const void *text;
  uint64_t text_size;
} ftrt_module;

/* A function of a module, and how it is launched, always. Kernels that differ in numbers alone have one function, which
 * is handed the numbers. */
typedef struct ftrt_kernel {
  const char *name;        /* of the kernel, for people */
  const char *function;    /* its symbol in the module */
  uint32_t module;         /* index in ftrt_step.modules */
  uint32_t argument_count; /* addresses, 8 bytes each, that a launch hands over */
  uint32_t grid[3];        /* blocks */
  uint32_t block[3];       /* threads of a block */
  uint32_t shared_bytes;   /* dynamic shared memory of a block; above 48 KiB, it has to be asked for */
  uint32_t size_count;
  const uint64_t *sizes; /* the last arguments, size_count of them, 8 bytes each; NULL where there are none */
} ftrt_kernel;

/* Element types, numbered as in the manifest. */
enum { FTRT_F32 = 0, FTRT_BF16 = 1, FTRT_I32 = 2, FTRT_I64 = 3, FTRT_U8 = 4 };

/* d = op(a) op(b), or d = addend + op(a) op(b). Matrices are row-major: row r of a begins r * lda elements behind its
 * start. op(a) is m x k: a is stored so, or, transposed, as k x m; op(b) is k x n, or n x k; d and addend are m x n.
 * Sums are in fp32, of operands as they are (no TF32), the addend is added in fp32, and d is rounded once. The same
 * operands give the same bits each time. */
typedef struct ftrt_matmul {
  uint64_t m, n, k;
  uint64_t lda, ldb, ldd;            /* elements; ldd holds for addend too */
  uint32_t type_a, type_b, type_d;   /* FTRT_F32 or FTRT_BF16; addend has type_d */
  uint32_t transpose_a, transpose_b; /* 0 or 1 */
  uint32_t has_addend;               /* 0 or 1 */
  uint64_t workspace_bytes;          /* of planned memory, aligned to 256, that the product may use */
} ftrt_matmul;

/* Causal attention of bf16 with fp32 sums, or its gradient. A row of tokens is `heads` heads of `head_dim` columns side
 * by side (query, output and their gradients) or `key_heads` of them (key, value and theirs), each of which serves
 * heads / key_heads heads. Token t of a row attends to tokens segment_starts[t] (int32, a position in the row) to t.
 * lse (fp32, a number for each token and head, heads side by side) is the natural logarithm of the sum of
 * exp(scale * score). The same operands give the same bits each time. */
typedef struct ftrt_attention {
  uint64_t batch, sequence; /* rows, and tokens of a row */
  uint64_t heads, key_heads, head_dim;
  uint64_t workspace_bytes; /* of planned memory that it may use */
  float scale;
  uint32_t gradient; /* 0 or 1 */
} ftrt_attention;

typedef struct ftrt_step {
  uint32_t abi_version; /* FTRT_ABI_VERSION */
  uint32_t size;        /* sizeof(ftrt_step) */
  const uint8_t *manifest;
  uint64_t manifest_size;
  uint64_t entry_count;         /* equals the manifest's number of entries, in its order */
  const ftrt_entry_fn *entries; /* entry_count functions */
  /* For a GPU; counts are 0 otherwise. */
  uint64_t module_count, kernel_count, product_count, event_count;
  const ftrt_module *modules;
  const ftrt_kernel *kernels;
  const ftrt_matmul *products;
  uint64_t attention_count;
  const ftrt_attention *attentions;
} ftrt_step;

#ifdef __cplusplus
}
#endif
#endif
