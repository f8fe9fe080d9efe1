/* cuDNN's backend API without a GPU, for tests of the runtime: descriptors are bags of attributes, and a graph is
 * computed as it is described, op by op, by plain loops, on the fake driver's streams. So what a test compares is the
 * graph: sizes, strides, offsets of documents, lengths, which op reads what. Numbers of tokens behind a document's end
 * are not numbers when they are read, and are never stored.
 *
 * Its heuristic proposes a plan that needs too much workspace, then one that can be taken (engine 2 with knob 24 at 7).
 * Of gradients it has one, engine 6 with knob 14 at 4. FAKE_DNN_NONE: it does not start. FAKE_DNN_VERSION: instead of
 * 92600. FAKE_DNN_REFUSE: "forward" or "gradient", which it then has no plan for. FAKE_CUDA_RECORD: attentions are only
 * counted, as kernels are then.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "FakeCuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum { ENGINE = 2, CONFIG = 3, HEURISTIC = 4, PLAN = 5, KNOB = 7, POINT = 13, GRAPH = 15, TENSOR = 17, MATMUL = 19 };
enum { REDUCTION = 22, RESHAPE = 31 };
enum { FLOAT32 = 0, INT32 = 4, BFLOAT16 = 9, INT64 = 10 };
enum { DESCRIPTOR = 15, MOST_ATTRIBUTES = 16, MOST_TENSORS = 96, MOST_POINTERS = 32 };

/* ---- Descriptors ---- */

struct attribute {
  int name, type;
  int64_t count;
  char *data;
};
struct object {
  int kind, users, whole;
  struct attribute attributes[MOST_ATTRIBUTES];
  int used;
};
struct handle {
  void *stream;
};

static size_t size_of(int type) {
  return type == 2 || type == 24                                                                                    ? 1
         : type == 1 || type == 4 || type == 8 || type == 9 || type == 11 || type == 14 || type == 18 || type == 23 ? 4
                                                                                                                    : 8;
}
static const struct attribute *find(const struct object *object, int name) {
  for (int i = 0; i < object->used; ++i)
    if (object->attributes[i].name == name)
      return &object->attributes[i];
  return NULL;
}
static int64_t number(const struct object *object, int name, int64_t otherwise) {
  const struct attribute *found = find(object, name);
  int32_t narrow;
  int64_t wide;
  if (!found)
    return otherwise;
  if (size_of(found->type) == 1)
    return found->data[0];
  memcpy(&narrow, found->data, 4);
  if (size_of(found->type) == 4)
    return narrow;
  memcpy(&wide, found->data, 8);
  return wide;
}
static struct object *child(const struct object *object, int name, int64_t index) {
  const struct attribute *found = find(object, name);
  return found && index < found->count ? ((struct object **)(void *)found->data)[index] : NULL;
}

int cudnnBackendCreateDescriptor(int kind, struct object **object) {
  *object = calloc(1, sizeof(**object));
  (*object)->kind = kind;
  (*object)->users = 1;
  return OK;
}
int cudnnBackendDestroyDescriptor(struct object *object) {
  if (--object->users > 0)
    return OK;
  if (object->kind == PLAN && object->whole)
    fake_cuda_give_back(2 << 20);
  for (int i = 0; i < object->used; ++i) {
    if (object->attributes[i].type == DESCRIPTOR)
      for (int64_t k = 0; k < object->attributes[i].count; ++k)
        cudnnBackendDestroyDescriptor(((struct object **)(void *)object->attributes[i].data)[k]);
    free(object->attributes[i].data);
  }
  free(object);
  return OK;
}
int cudnnBackendSetAttribute(struct object *object, int name, int type, int64_t count, const void *elements) {
  if (object->whole || object->used == MOST_ATTRIBUTES || find(object, name) || !elements)
    return BAD_PARAM;
  struct attribute made = {name, type, count, malloc((size_t)count * size_of(type) + 1)};
  memcpy(made.data, elements, (size_t)count * size_of(type));
  for (int64_t i = 0; type == DESCRIPTOR && i < count; ++i) {
    struct object *other = ((struct object **)(void *)made.data)[i];
    if (!other->whole)
      return BAD_PARAM;
    ++other->users;
  }
  object->attributes[object->used++] = made;
  return OK;
}

/* ---- Engines ---- */

static int is_gradient(const struct object *graph) {
  const struct attribute *ops = find(graph, 801);
  int products = 0;
  for (int64_t i = 0; i < ops->count; ++i)
    products += child(graph, 801, i)->kind == MATMUL;
  return products > 2;
}
static int64_t knob(const struct object *config, int kind) {
  const struct attribute *knobs = find(config, 302);
  for (int64_t i = 0; knobs && i < knobs->count; ++i)
    if (number(child(config, 302, i), 600, -1) == kind)
      return number(child(config, 302, i), 601, -1);
  return -1;
}
static int supports(const struct object *config) {
  const struct object *engine = child(config, 300, 0);
  const int64_t index = number(engine, 1301, -1), gradient = is_gradient(child(engine, 1300, 0));
  const char *refused = getenv("FAKE_DNN_REFUSE");
  if (refused && strcmp(refused, gradient ? "gradient" : "forward") == 0)
    return 0;
  return gradient ? index == 6 && knob(config, 14) == 4 : (index == 1 || index == 2) && knob(config, 24) >= 0;
}

int cudnnBackendFinalize(struct object *object) {
  int failed = fake_cuda_enter(__func__);
  if (failed)
    return EXECUTION_FAILED;
  if (object->kind == CONFIG && !supports(object))
    return NOT_SUPPORTED;
  if (object->kind == PLAN)
    fake_cuda_consume(2 << 20); /* its code */
  object->whole = 1;
  return OK;
}

/* What the caller has made becomes a configuration of engine `index`. */
static void propose(const struct object *graph, struct object *config, int64_t index, int64_t value) {
  struct object *engine, *choice;
  const int kind = 24;
  cudnnBackendCreateDescriptor(ENGINE, &engine);
  cudnnBackendSetAttribute(engine, 1300, DESCRIPTOR, 1, &graph);
  cudnnBackendSetAttribute(engine, 1301, 3, 1, &index);
  engine->whole = 1;
  cudnnBackendCreateDescriptor(KNOB, &choice);
  cudnnBackendSetAttribute(choice, 600, 9, 1, &kind);
  cudnnBackendSetAttribute(choice, 601, 3, 1, &value);
  choice->whole = 1;
  cudnnBackendSetAttribute(config, 300, DESCRIPTOR, 1, &engine);
  cudnnBackendSetAttribute(config, 302, DESCRIPTOR, 1, &choice);
  config->whole = 1;
  cudnnBackendDestroyDescriptor(engine);
  cudnnBackendDestroyDescriptor(choice);
}
/* Makes `to` what `from` is. */
static void copy(struct object *to, const struct object *from) {
  for (int i = 0; i < from->used; ++i)
    cudnnBackendSetAttribute(to, from->attributes[i].name, from->attributes[i].type, from->attributes[i].count,
                             from->attributes[i].data);
  to->whole = from->whole;
}

int cudnnBackendGetAttribute(struct object *object, int name, int type, int64_t asked, int64_t *count, void *elements) {
  if (!object->whole)
    return BAD_PARAM;
  if (object->kind == HEURISTIC && name == 202) {
    *count = 2;
    for (int64_t i = 0; i < 2 && i < asked; ++i)
      propose(child(object, 201, 0), ((struct object **)elements)[i], i + 1, i == 0 ? 3 : 7);
    return OK;
  }
  if (object->kind == PLAN && name == 402) {
    const int64_t index = number(child(child(object, 401, 0), 300, 0), 1301, 0);
    *(int64_t *)elements = index == 1 ? (int64_t)1 << 40 : 1000;
    *count = 1;
    return OK;
  }
  const struct attribute *found = find(object, name);
  if (!found || found->type != type)
    return BAD_PARAM;
  *count = found->count;
  for (int64_t i = 0; i < found->count && i < asked; ++i)
    if (type == DESCRIPTOR)
      copy(((struct object **)elements)[i], child(object, name, i));
    else
      memcpy((char *)elements + (size_t)i * size_of(type), found->data + (size_t)i * size_of(type), size_of(type));
  return OK;
}

int cudnnCreate(struct handle **handle) {
  if (getenv("FAKE_DNN_NONE") || fake_cuda_enter(__func__))
    return NOT_INITIALIZED;
  *handle = calloc(1, sizeof(**handle));
  return OK;
}
int cudnnDestroy(struct handle *handle) {
  free(handle);
  return OK;
}
int cudnnSetStream(struct handle *handle, void *stream) {
  handle->stream = stream;
  return OK;
}
size_t cudnnGetVersion(void) {
  const char *version = getenv("FAKE_DNN_VERSION");
  return version ? strtoull(version, NULL, 10) : 92600;
}
const char *cudnnGetErrorString(int status) {
  return status == OK                ? "CUDNN_STATUS_SUCCESS"
         : status == NOT_INITIALIZED ? "CUDNN_STATUS_NOT_INITIALIZED"
         : status == BAD_PARAM       ? "CUDNN_STATUS_BAD_PARAM"
         : status == NOT_SUPPORTED   ? "CUDNN_STATUS_NOT_SUPPORTED"
                                     : "CUDNN_STATUS_EXECUTION_FAILED";
}

/* ---- A run of a graph ---- */

struct run {
  struct run *next; /* all there were: recordings run them again */
  struct object *graph;
  int64_t ids[MOST_POINTERS];
  uint64_t pointers[MOST_POINTERS];
  float numbers[MOST_POINTERS];
  int64_t count;
  uint64_t workspace;
};
static struct run *runs;

struct tensor {
  const struct object *object;
  int type, is_virtual, by_value;
  int64_t dims[4], strides[4];
  float *values; /* of a virtual one; row-major */
  void *memory;  /* of any other */
  float number;
  const int64_t *offsets; /* of documents, or NULL */
  int64_t multiplier;
  int token_axis;
};
struct state {
  struct tensor tensors[MOST_TENSORS];
  int count;
  const int32_t *lengths;
  const struct run *run;
  int failed;
};

static int given(const struct run *run, int64_t id) {
  for (int i = 0; i < run->count; ++i)
    if (run->ids[i] == id)
      return i;
  return -1;
}
static size_t bytes_of(int type) { return type == INT64 ? 8 : type == BFLOAT16 ? 2 : type == 11 ? 1 : 4; }

static struct tensor *tensor_of(struct state *state, const struct object *object) {
  for (int i = 0; i < state->count; ++i)
    if (state->tensors[i].object == object)
      return &state->tensors[i];
  struct tensor *made = &state->tensors[state->count++];
  *made = (struct tensor){.object = object, .type = (int)number(object, 901, 0), .multiplier = 1, .token_axis = 2};
  memcpy(made->dims, find(object, 902)->data, sizeof(made->dims));
  memcpy(made->strides, find(object, 903)->data, sizeof(made->strides));
  made->is_virtual = (int)number(object, 907, 0);
  made->by_value = (int)number(object, 908, 0);
  if (made->dims[3] != 1 && made->strides[3] != 1)
    made->token_axis = 3;
  const int64_t size = made->dims[0] * made->dims[1] * made->dims[2] * made->dims[3];
  if (made->is_virtual) {
    made->values = malloc((size_t)size * sizeof(float));
    return made;
  }
  const int at = given(state->run, number(object, 906, -1));
  if (at < 0) {
    fake_cuda_log("fault: attention lacks tensor %lld", (long long)number(object, 906, -1));
    state->failed = 1;
  } else if (made->by_value) {
    made->number = state->run->numbers[at];
  } else {
    struct object *offsets = child(object, 913, 0);
    made->memory = fake_cuda_memory(state->run->pointers[at], offsets ? 0 : (size_t)size * bytes_of(made->type));
    if (!made->memory || state->run->pointers[at] % 16)
      state->failed = 1;
    if (offsets)
      made->offsets = tensor_of(state, offsets)->memory;
  }
  return made;
}

/* Where an element is in memory; NULL behind its document's end. */
static void *place(const struct state *state, const struct tensor *t, const int64_t at[4]) {
  int64_t element = at[1] * t->strides[1] + at[2] * t->strides[2] + at[3] * t->strides[3];
  if (t->offsets) {
    if (at[t->token_axis] >= state->lengths[at[0]])
      return NULL;
    element += t->offsets[at[0]] * t->multiplier;
  } else {
    element += at[0] * t->strides[0];
  }
  return (char *)t->memory + element * (int64_t)bytes_of(t->type);
}
static int64_t row_major(const struct tensor *t, const int64_t at[4]) {
  return ((at[0] * t->dims[1] + at[1]) * t->dims[2] + at[2]) * t->dims[3] + at[3];
}
static float rounded(float value) {
  union {
    float value;
    uint32_t bits;
  } wide = {value};
  if (value == value)
    wide.bits = (wide.bits + 0x7fff + (wide.bits >> 16 & 1)) & 0xffff0000u;
  return wide.value;
}
/* An element, with sizes of 1, and heads that serve several, for all. */
static float load(const struct state *state, const struct tensor *t, const int64_t where[4], int64_t heads) {
  int64_t at[4];
  if (t->by_value)
    return t->number;
  for (int axis = 0; axis < 4; ++axis)
    at[axis] = t->dims[axis] == 1 ? 0 : where[axis];
  if (t->dims[1] > 1 && t->dims[1] < heads)
    at[1] = where[1] / (heads / t->dims[1]);
  if (t->is_virtual)
    return t->values[row_major(t, at)];
  const void *from = place(state, t, at);
  if (!from)
    return NAN;
  if (t->type == INT32)
    return (float)*(const int32_t *)from;
  if (t->type == FLOAT32)
    return *(const float *)from;
  union {
    uint32_t bits;
    float value;
  } wide = {(uint32_t)*(const uint16_t *)from << 16};
  return wide.value;
}
static void store(const struct state *state, struct tensor *t, const int64_t at[4], float value) {
  if (t->is_virtual) {
    t->values[row_major(t, at)] = t->type == BFLOAT16 ? rounded(value) : value;
    return;
  }
  void *to = place(state, t, at);
  union {
    float value;
    uint32_t bits;
  } wide = {rounded(value)};
  if (to && t->type == FLOAT32)
    *(float *)to = value;
  else if (to)
    *(uint16_t *)to = (uint16_t)(wide.bits >> 16);
}

#define EACH(at, dims)                                                                                                 \
  for (at[0] = 0; at[0] < (dims)[0]; ++at[0])                                                                          \
    for (at[1] = 0; at[1] < (dims)[1]; ++at[1])                                                                        \
      for (at[2] = 0; at[2] < (dims)[2]; ++at[2])                                                                      \
        for (at[3] = 0; at[3] < (dims)[3]; ++at[3])

static void run_point(struct state *state, const struct object *op) {
  const struct object *kind = child(op, 750, 0), *second = child(op, 752, 0), *third = child(op, 758, 0);
  struct tensor *x = tensor_of(state, child(op, 751, 0)), *y = tensor_of(state, child(op, 753, 0));
  struct tensor *b = second ? tensor_of(state, second) : NULL, *t = third ? tensor_of(state, third) : NULL;
  int64_t at[4];
  if (state->failed)
    return;
  EACH(at, y->dims) {
    const float one = load(state, x, at, y->dims[1]), two = b ? load(state, b, at, y->dims[1]) : 0;
    float value = NAN;
    switch (number(kind, 0, -1)) {
    case 0:
      value = one + two;
      break;
    case 1:
      value = one * two;
      break;
    case 6:
      value = one / two;
      break;
    case 9:
      value = one - two;
      break;
    case 13:
      value = expf(one);
      break;
    case 15:
      value = logf(one);
      break;
    case 21:
      value = one;
      break;
    case 303:
      value = one >= two;
      break;
    case 304:
      value = one < two;
      break;
    case 400:
      value = one != 0 && two != 0;
      break;
    case 501:
      value = (float)at[number(kind, 9, 0)];
      break;
    case 601:
      value = load(state, t, at, y->dims[1]) != 0 ? one : two;
      break;
    default:
      state->failed = 1;
    }
    store(state, y, at, value);
  }
}
static void run_matmul(struct state *state, const struct object *op) {
  struct tensor *a = tensor_of(state, child(op, 1520, 0)), *b = tensor_of(state, child(op, 1521, 0));
  struct tensor *c = tensor_of(state, child(op, 1522, 0));
  const int64_t whole[3] = {c->dims[2], c->dims[3], a->dims[3]};
  int64_t at[4], left[4], right[4];
  if (state->failed)
    return;
  if (b->dims[2] != a->dims[3] || a->dims[2] != c->dims[2] || b->dims[3] != c->dims[3])
    state->failed = 1;
  EACH(at, c->dims) {
    int64_t sizes[3];
    for (int i = 0; i < 3; ++i)
      sizes[i] = child(op, 1525 + i, 0) ? state->lengths[at[0]] : whole[i];
    float sum = 0;
    memcpy(left, at, sizeof(at));
    memcpy(right, at, sizeof(at));
    for (int64_t k = 0; at[2] < sizes[0] && at[3] < sizes[1] && k < sizes[2]; ++k) {
      left[3] = right[2] = k;
      sum += load(state, a, left, c->dims[1]) * load(state, b, right, c->dims[1]);
    }
    store(state, c, at, sum);
  }
}
static void run_reduction(struct state *state, const struct object *op) {
  struct tensor *x = tensor_of(state, child(op, 1610, 0)), *y = tensor_of(state, child(op, 1611, 0));
  const int largest = number(child(op, 1612, 0), 1600, -1) == 3;
  int64_t at[4], from[4], ratio[4];
  if (state->failed)
    return;
  for (int axis = 0; axis < 4; ++axis)
    ratio[axis] = x->dims[axis] / y->dims[axis];
  EACH(at, y->dims) {
    float sum = largest ? -INFINITY : 0;
    int64_t within[4];
    EACH(within, ratio) {
      for (int axis = 0; axis < 4; ++axis)
        from[axis] = at[axis] * ratio[axis] + within[axis];
      const float value = load(state, x, from, x->dims[1]);
      sum = !largest ? sum + value : value > sum ? value : sum;
    }
    store(state, y, at, sum);
  }
}
/* Between its last two axes, which is what a graph of attention uses it for. */
static void run_reshape(struct state *state, const struct object *op) {
  struct tensor *x = tensor_of(state, child(op, 2200, 0)), *y = tensor_of(state, child(op, 2201, 0));
  int64_t at[4];
  if (state->failed)
    return;
  if (x->dims[2] != y->dims[3] || x->dims[3] != y->dims[2])
    state->failed = 1;
  EACH(at, y->dims) {
    const int64_t from[4] = {at[0], at[1], at[3], at[2]};
    store(state, y, at, load(state, x, from, x->dims[1]));
  }
}

static int attend(const void *payload) {
  const struct run *run;
  memcpy(&run, payload, sizeof(run));
  const struct attribute *ops = find(run->graph, 801);
  fake_cuda_log("run attention%s", is_gradient(run->graph) ? " gradient" : "");
  if (getenv("FAKE_CUDA_RECORD"))
    return 0;
  struct state *state = calloc(1, sizeof(*state));
  state->run = run;
  char *workspace = fake_cuda_memory(run->workspace, 1000);
  if (!workspace)
    state->failed = 1;
  else
    memset(workspace, 0xff, 1000);
  for (int64_t i = 0; i < ops->count; ++i) { /* all tensors, and the lengths, first */
    const struct object *op = child(run->graph, 801, i);
    for (int k = 0; k < op->used; ++k)
      if (op->attributes[k].type == DESCRIPTOR && child(op, op->attributes[k].name, 0)->kind == TENSOR)
        tensor_of(state, child(op, op->attributes[k].name, 0));
    if (op->kind == MATMUL && !state->failed)
      state->lengths = tensor_of(state, child(op, 1525, 0))->memory;
  }
  /* Offsets that several tensors share are those of the one with the fewest heads. */
  for (int i = 0; i < state->count; ++i)
    for (int k = 0; k < state->count; ++k)
      if (state->tensors[i].offsets && state->tensors[i].offsets == state->tensors[k].offsets &&
          state->tensors[i].dims[1] / state->tensors[k].dims[1] > state->tensors[i].multiplier)
        state->tensors[i].multiplier = state->tensors[i].dims[1] / state->tensors[k].dims[1];
  for (int64_t i = 0; i < ops->count && !state->failed; ++i) {
    const struct object *op = child(run->graph, 801, i);
    op->kind == POINT       ? run_point(state, op)
    : op->kind == MATMUL    ? run_matmul(state, op)
    : op->kind == REDUCTION ? run_reduction(state, op)
    : op->kind == RESHAPE   ? run_reshape(state, op)
                            : (void)(state->failed = 1);
  }
  const int failed = state->failed;
  for (int i = 0; i < state->count; ++i)
    free(state->tensors[i].values);
  free(state);
  return failed;
}

int cudnnBackendExecute(struct handle *handle, struct object *plan, struct object *pack) {
  fake_cuda_log("cudnnBackendExecute");
  if (fake_cuda_enter(__func__) || !plan->whole || !pack->whole)
    return EXECUTION_FAILED;
  const struct attribute *ids = find(pack, 1000), *pointers = find(pack, 1001);
  struct run *run = calloc(1, sizeof(*run));
  run->next = runs;
  runs = run;
  run->graph = child(child(child(plan, 401, 0), 300, 0), 1300, 0);
  ++run->graph->users;
  run->count = ids->count;
  if (pointers->count != ids->count || ids->count > MOST_POINTERS)
    return BAD_PARAM;
  memcpy(run->ids, ids->data, (size_t)ids->count * 8);
  memcpy(run->pointers, pointers->data, (size_t)ids->count * 8);
  memcpy(&run->workspace, find(pack, 1003)->data, 8);
  const struct attribute *ops = find(run->graph, 801);
  for (int64_t i = 0; i < ops->count; ++i) { /* numbers by value are read now */
    const struct object *op = child(run->graph, 801, i);
    for (int k = 0; k < op->used; ++k)
      if (op->attributes[k].type == DESCRIPTOR) {
        const struct object *tensor = child(op, op->attributes[k].name, 0);
        const int at = tensor->kind == TENSOR && number(tensor, 908, 0) ? given(run, number(tensor, 906, -1)) : -1;
        if (at >= 0)
          run->numbers[at] = *(const float *)(uintptr_t)run->pointers[at];
      }
  }
  return fake_cuda_submit(handle->stream, attend, &run, sizeof(run)) ? EXECUTION_FAILED : OK;
}
