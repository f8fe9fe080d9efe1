/* The fake driver's streams, events and graphs; see FakeDriver.c.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "FakeDriver.h"

#include <stdlib.h>
#include <string.h>

static struct stream streams[MOST_STREAMS];
static struct graph *recording;
static int origin;

static int replay(const struct graph *graph);
static int run_until(int stream, uint64_t position);

static int run(const struct work *work) {
  void *device = NULL;
  if (work->kind == TO_DEVICE || work->kind == TO_HOST || work->kind == ON_DEVICE || work->kind == FILL) {
    device = fake_cuda_memory(work->device, work->bytes);
    if (!device)
      return fake_fault("copy", "outside of memory");
  }
  switch (work->kind) {
  case KERNEL:
    return fake_run_kernel(work);
  case TO_DEVICE:
    memcpy(device, work->host, work->bytes);
    return OK;
  case TO_HOST:
    memcpy(work->host, device, work->bytes);
    return OK;
  case ON_DEVICE:
    memmove(device, fake_cuda_memory(work->from, work->bytes), work->bytes);
    return OK;
  case FILL:
    memset(device, work->payload[0], work->bytes);
    return OK;
  case CALL:
    return work->call(work->payload) ? fake_fault("work", "of a library") : OK;
  case HOST_CALL:
    work->host_call(work->host);
    return OK;
  case GRAPH:
    return replay(work->graph);
  case WAIT:
    return run_until(work->awaited, work->position);
  }
  return OK;
}

static int run_until(int index, uint64_t position) {
  struct stream *stream = &streams[index];
  while (!fake_broken && stream->over < position) {
    const struct work *work = &stream->queue[stream->over % QUEUE];
    run(work);
    ++stream->over;
  }
  return fake_broken;
}

/* Runs works of stream `stream` up to number `upto`, and before each what it must come after. */
static int advance(const struct graph *graph, int stream, uint64_t upto, uint64_t *done, size_t *at) {
  while (!fake_broken && done[stream] < upto) {
    while (at[stream] < graph->count && graph->works[at[stream]].stream != stream)
      ++at[stream];
    if (at[stream] == graph->count)
      return OK;
    const struct work *work = &graph->works[at[stream]++];
    for (int other = 0; other < MOST_STREAMS; ++other)
      if (other != stream)
        advance(graph, other, work->clock[other], done, at);
    ++done[stream];
    run(work);
  }
  return fake_broken;
}

static int replay(const struct graph *graph) {
  uint64_t done[MOST_STREAMS] = {0};
  size_t at[MOST_STREAMS] = {0};
  for (int stream = 0; stream < MOST_STREAMS; ++stream)
    advance(graph, stream, UINT64_MAX, done, at);
  return fake_broken;
}

int fake_queue(struct stream *stream, const struct work *work) {
  if (!stream->recorded) {
    if (stream->begun - stream->over == QUEUE && run_until(stream->index, stream->over + 1))
      return fake_broken;
    stream->queue[stream->begun++ % QUEUE] = *work;
    return OK;
  }
  if (recording->count == recording->room) {
    recording->room = 2 * recording->room + 64;
    recording->works = realloc(recording->works, recording->room * sizeof(struct work));
  }
  ++stream->clock[stream->index];
  struct work *added = &recording->works[recording->count++];
  *added = *work;
  added->stream = stream->index;
  memcpy(added->clock, stream->clock, sizeof(added->clock));
  return OK;
}

int fake_cuda_submit(void *handle, int (*call)(const void *), const void *payload, size_t bytes) {
  struct work work = {.kind = CALL, .call = call};
  if (fake_broken || bytes > sizeof(work.payload))
    return fake_broken ? fake_broken : INVALID_VALUE;
  memcpy(work.payload, payload, bytes);
  return fake_queue(handle, &work);
}

int fake_recording(void) { return recording != NULL; }

/* ---- Streams and events ---- */

int cuStreamCreate(struct stream **stream, unsigned flags) {
  ENTER();
  NOT_WHILE_RECORDING();
  for (int i = 0; i < MOST_STREAMS; ++i)
    if (!streams[i].used) {
      struct work *room = streams[i].queue ? streams[i].queue : calloc(QUEUE, sizeof(struct work));
      streams[i] = (struct stream){.index = i, .used = 1, .queue = room};
      *stream = &streams[i];
      return room ? OK : OUT_OF_MEMORY;
    }
  return OUT_OF_MEMORY;
}
int cuStreamDestroy_v2(struct stream *stream) {
  stream->used = 0;
  return OK;
}
int cuStreamSynchronize(struct stream *stream) {
  ENTER();
  NOT_WHILE_RECORDING();
  return run_until(stream->index, stream->begun);
}
int cuEventCreate(struct event **event, unsigned flags) {
  ENTER();
  NOT_WHILE_RECORDING();
  *event = calloc(1, sizeof(struct event));
  (*event)->stream = -1;
  return OK;
}
int cuEventDestroy_v2(struct event *event) {
  free(event);
  return OK;
}
int cuEventRecord(struct event *event, struct stream *stream) {
  fake_cuda_log("cuEventRecord stream %d", stream->index);
  ENTER();
  event->stream = stream->index;
  event->recorded = stream->recorded;
  event->position = stream->begun;
  memcpy(event->clock, stream->clock, sizeof(event->clock));
  return OK;
}
int cuEventElapsedTime(float *milliseconds, struct event *start, struct event *end) {
  ENTER();
  NOT_WHILE_RECORDING();
  if (start->stream < 0 || end->stream < 0 || run_until(end->stream, end->position))
    return INVALID_VALUE;
  *milliseconds = 0.5f;
  return OK;
}
int cuEventSynchronize(struct event *event) {
  ENTER();
  NOT_WHILE_RECORDING();
  return event->stream < 0 ? OK : run_until(event->stream, event->position);
}
int cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags) {
  fake_cuda_log("cuStreamWaitEvent stream %d", stream->index);
  ENTER();
  if (event->stream < 0)
    return OK;
  if (event->recorded != (stream->recorded || event->recorded) || (event->recorded && !recording))
    return CAPTURE_ISOLATION;
  if (!event->recorded) {
    struct work work = {.kind = WAIT, .awaited = event->stream, .position = event->position};
    return fake_queue(stream, &work);
  }
  if (!stream->recorded)
    memset(stream->clock, 0, sizeof(stream->clock));
  stream->recorded = 1;
  for (int i = 0; i < MOST_STREAMS; ++i)
    stream->clock[i] = stream->clock[i] > event->clock[i] ? stream->clock[i] : event->clock[i];
  return OK;
}

int cuLaunchHostFunc(struct stream *stream, void (*call)(void *), void *data) {
  fake_cuda_log("cuLaunchHostFunc");
  ENTER();
  struct work work = {.kind = HOST_CALL, .host_call = call, .host = data};
  return fake_queue(stream, &work);
}

/* ---- Graphs ---- */

int cuGraphDestroy(struct graph *graph) {
  free(graph->works);
  free(graph);
  return OK;
}
int cuStreamBeginCapture_v2(struct stream *stream, int mode) {
  fake_cuda_log("cuStreamBeginCapture");
  ENTER();
  NOT_WHILE_RECORDING();
  recording = calloc(1, sizeof(*recording));
  origin = stream->index;
  stream->recorded = 1;
  memset(stream->clock, 0, sizeof(stream->clock));
  return OK;
}
int cuStreamEndCapture(struct stream *stream, struct graph **graph) {
  fake_cuda_log("cuStreamEndCapture %zu works", recording ? recording->count : 0);
  ENTER();
  if (!recording || stream->index != origin)
    return INVALID_VALUE;
  int joined = 1;
  for (int i = 0; i < MOST_STREAMS; ++i) {
    joined &= !streams[i].recorded || stream->clock[i] == streams[i].clock[i];
    streams[i].recorded = 0;
  }
  struct graph *recorded = recording;
  recording = NULL;
  if (!joined)
    cuGraphDestroy(recorded);
  *graph = joined ? recorded : NULL;
  return joined ? OK : CAPTURE_UNJOINED;
}
int cuGraphInstantiateWithFlags(struct graph **exec, struct graph *graph, unsigned long long flags) {
  fake_cuda_log("cuGraphInstantiate");
  ENTER();
  NOT_WHILE_RECORDING();
  *exec = malloc(sizeof(**exec));
  **exec = (struct graph){malloc((graph->count + 1) * sizeof(struct work)), graph->count, graph->count};
  memcpy((*exec)->works, graph->works, graph->count * sizeof(struct work));
  fake_cuda_consume(1);
  return OK;
}
int cuGraphExecDestroy(struct graph *exec) {
  fake_cuda_give_back(1);
  return cuGraphDestroy(exec);
}
int cuGraphUpload(struct graph *exec, struct stream *stream) {
  fake_cuda_log("cuGraphUpload");
  ENTER();
  NOT_WHILE_RECORDING();
  return OK;
}
int cuGraphLaunch(struct graph *exec, struct stream *stream) {
  fake_cuda_log("cuGraphLaunch");
  ENTER();
  NOT_WHILE_RECORDING();
  struct work work = {.kind = GRAPH, .graph = exec};
  return fake_queue(stream, &work);
}
