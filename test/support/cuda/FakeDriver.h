/* Inside of the fake driver: FakeDriver.c has the device, memory and modules, FakeStreams.c what is queued.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#ifndef FTC_TEST_SUPPORT_CUDA_FAKEDRIVER_H
#define FTC_TEST_SUPPORT_CUDA_FAKEDRIVER_H

#include "FakeCuda.h"

enum {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY = 209,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_UNJOINED = 904,
  CAPTURE_ISOLATION = 905
};
enum { MOST_ARGUMENTS = 64, MOST_STREAMS = 16, QUEUE = 4096, MOST_RANGES = 256 };

struct function {
  struct function *next; /* of the same module */
  char name[256];
  fake_kernel run; /* NULL: code for a GPU */
  unsigned arguments;
};

enum work_kind { KERNEL, TO_DEVICE, TO_HOST, ON_DEVICE, FILL, CALL, HOST_CALL, GRAPH, WAIT };
struct graph;
struct work {
  enum work_kind kind;
  int stream;                   /* that it was queued on */
  uint64_t clock[MOST_STREAMS]; /* recorded: what must have run before, of each stream */
  struct function *function;
  fake_launch launch;
  uint64_t arguments[MOST_ARGUMENTS];
  uint64_t device, from;
  void *host;
  size_t bytes;
  int (*call)(const void *);
  void (*host_call)(void *); /* HOST_CALL: on `host` */
  char payload[256];
  struct graph *graph;
  int awaited;       /* WAIT: the stream of the event, */
  uint64_t position; /* and how far it must have run */
};

struct stream {
  int index, used, recorded;
  uint64_t begun, over; /* works so far */
  uint64_t clock[MOST_STREAMS];
  struct work *queue; /* QUEUE of them, a ring */
};
struct event {
  int stream, recorded;
  uint64_t position;
  uint64_t clock[MOST_STREAMS];
};
struct graph {
  struct work *works;
  size_t count, room;
};

extern int fake_current; /* whether the context is current */
extern int fake_broken;  /* the error that sticks */
int fake_recording(void);
/* The device has failed at `what` of `name`. */
int fake_fault(const char *what, const char *name);
int fake_run_kernel(const struct work *work);
/* Appends to a stream, or to what is recorded of it. */
int fake_queue(struct stream *stream, const struct work *work);

#define ENTER()                                                                                                        \
  do {                                                                                                                 \
    int failed = fake_cuda_enter(__func__);                                                                            \
    if (failed)                                                                                                        \
      return failed;                                                                                                   \
  } while (0)

/* Whether something may be made or waited for now. */
#define NOT_WHILE_RECORDING()                                                                                          \
  do {                                                                                                                 \
    if (!fake_current)                                                                                                 \
      return INVALID_CONTEXT;                                                                                          \
    if (fake_recording())                                                                                              \
      return CAPTURE_UNSUPPORTED;                                                                                      \
  } while (0)

#endif /* FTC_TEST_SUPPORT_CUDA_FAKEDRIVER_H */
