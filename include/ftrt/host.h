/* Embedding a step: opens a step.so, takes its memory, starts its threads and runs its entries. Link with libftrt.
 *
 *   ftrt_host *host = ftrt_host_open("step.so", 0);
 *   if (!host) { fputs(ftrt_host_error(), stderr); exit(1); }
 *   ftrt_host_init(host, seed);                              // parameters, states, constants
 *   ... ftrt_host_write for parameters of your own, then ftrt_host_parameters_changed ...
 *   int step = ftrt_host_entry(host, FTRT_ENTRY_STEP);
 *   ftrt_tensor tokens; ftrt_host_input(host, step, "tokens", &tokens);
 *   ... write tokens.data, labels, positions, segment_starts ...
 *   ftrt_scalars scalars = {.learning_rate = 1e-3f, .inv_tokens = 1.0f / valid, .step = 1};
 *   ftrt_host_run(host, step, &scalars);
 *   ... read outputs with ftrt_host_output ...
 *   ftrt_host_close(host);
 *
 * A program that wants its own memory and threads needs none of this: step.h is the whole contract of a step.
 *
 * C11. A host must be used by one thread at a time. Functions that return int return 0 on success and else a code of
 * ftrun's list (docs/abi.md); ftrt_host_error() then says what happened, and stays valid until the same thread's next
 * call.
 */
#ifndef FTRT_HOST_H
#define FTRT_HOST_H

#include "ftrt/step.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ftrt_host ftrt_host;

/* As in the manifest (Role, EntryKind); element types are in step.h. What a model's weights are read into are
 * parameters, quantized ones (frozen, in four bits: codes and their scales, under names of their own), with knowledge
 * distillation those of the teacher, and where pairs of answers train a whole model those of the reference
 * ("reference." before the name of a parameter): a host that fills FTRT_PARAMETER alone leaves the others as
 * ftrt_host_init has made them, random. Accumulators hold gradients between calls of FTRT_ENTRY_MICRO. */
enum {
  FTRT_PARAMETER = 0,
  FTRT_STATE = 1,
  FTRT_CONSTANT = 2,
  FTRT_INPUT = 3,
  FTRT_OUTPUT = 4,
  FTRT_ACCUMULATOR = 5,
  FTRT_QUANTIZED = 6,
  FTRT_TEACHER = 7,
  FTRT_REFERENCE = 8
};
enum { FTRT_ENTRY_STEP = 0, FTRT_ENTRY_MICRO = 1, FTRT_ENTRY_EVALUATE = 2, FTRT_ENTRY_LOGITS = 3 };

/* A tensor of a step, row-major. Pointers are valid until ftrt_host_close. Inputs and outputs always have `data`: for a
 * step on a device these are copies on the host, which ftrt_host_run takes over and fills. */
typedef struct ftrt_tensor {
  const char *name;
  void *data; /* NULL for a state of the far tier, and for what lies on a device: ftrt_host_read, ftrt_host_write */
  uint64_t bytes;
  int32_t type;
  int32_t role; /* FTRT_PARAMETER to FTRT_REFERENCE */
  uint64_t rank;
  const int64_t *shape; /* rank sizes, outermost first */
} ftrt_tensor;

/* The last failure of this thread, one line without a newline. */
const char *ftrt_host_error(void);

/* Opens and checks a step, takes its slabs and starts its threads (0: as many as were planned for, or as many as there
 * are processors where these are fewer). A step of target "cuda" is put on the first GPU that CUDA shows. NULL on
 * failure. */
ftrt_host *ftrt_host_open(const char *path, uint32_t threads);
/* Ends the threads, gives the memory back and closes the library. NULL is allowed. */
void ftrt_host_close(ftrt_host *host);

/* Fills parameters, states and constants as the recipe says. Random ones depend on `seed` and their names only. Needed
 * before the first ftrt_host_run, also by a host that writes parameters of its own afterwards: the constants are part
 * of what the step computes. */
int ftrt_host_init(ftrt_host *host, uint64_t seed);
/* After parameters were written: fills what is made of them, which is the norms and magnitudes of DoRA. */
int ftrt_host_parameters_changed(ftrt_host *host);

/* Bytes that the plan takes, and bytes taken, of the host or of the device. They are equal. */
uint64_t ftrt_host_planned_bytes(const ftrt_host *host);
uint64_t ftrt_host_taken_bytes(const ftrt_host *host);
/* Bytes of the far tier that the plan takes: in a file without a name under $TMPDIR or /var/tmp; for a step on a
 * device, in pinned memory. */
uint64_t ftrt_host_far_bytes(const ftrt_host *host);
/* Threads that entries run on. */
uint32_t ftrt_host_threads(const ftrt_host *host);

/* Index of the first entry of a kind, which is the longest, -1 without one; of the shortest one that holds rows of
 * `tokens` tokens, -1 where none does; an entry's rows and their length. A step of pairs of answers, which has an
 * output "log_probs", takes half as many pairs as rows: all chosen answers, then the rejected ones in the same order;
 * its scalar `inv_tokens` is 1 / pairs. */
int ftrt_host_entry(const ftrt_host *host, int kind);
int ftrt_host_entry_for(const ftrt_host *host, int kind, int64_t tokens);
int ftrt_host_entry_shape(const ftrt_host *host, int entry, int64_t *batch, int64_t *sequence);

/* Number of tensors of all roles but inputs and outputs, sorted by name; one of them by index or by name; an entry's
 * inputs and outputs by name. */
uint64_t ftrt_host_tensor_count(const ftrt_host *host);
int ftrt_host_tensor_at(const ftrt_host *host, uint64_t index, ftrt_tensor *out);
int ftrt_host_tensor(const ftrt_host *host, const char *name, ftrt_tensor *out);
int ftrt_host_input(const ftrt_host *host, int entry, const char *name, ftrt_tensor *out);
int ftrt_host_output(const ftrt_host *host, int entry, const char *name, ftrt_tensor *out);

/* Copies bytes `offset` to `offset + bytes` of a tensor that is no input or output from or to the step, wherever it
 * lies. */
int ftrt_host_read(ftrt_host *host, const char *name, uint64_t offset, void *to, uint64_t bytes);
int ftrt_host_write(ftrt_host *host, const char *name, uint64_t offset, const void *from, uint64_t bytes);

/* Runs an entry. Allocates nothing. Refuses (2) before ftrt_host_init. */
int ftrt_host_run(ftrt_host *host, int entry, const ftrt_scalars *scalars);

#ifdef __cplusplus
}
#endif
#endif
