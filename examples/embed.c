/* Trains a step from a C program: reads a text as bytes and fits it, without ftrun.
 *
 *   embed step.so FILE [STEPS] [LEARNING_RATE]
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "ftrt/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int die(ftrt_host *host) {
  fprintf(stderr, "embed: %s\n", ftrt_host_error());
  ftrt_host_close(host);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: embed step.so FILE [STEPS] [LEARNING_RATE]\n");
    return 2;
  }
  const uint64_t steps = argc > 3 ? strtoull(argv[3], NULL, 10) : 10;
  const float rate = argc > 4 ? strtof(argv[4], NULL) : 1e-3f;

  ftrt_host *host = ftrt_host_open(argv[1], 0);
  if (!host)
    return die(NULL);
  printf("planned %" PRIu64 " bytes, taken %" PRIu64 ", %u threads\n", ftrt_host_planned_bytes(host),
         ftrt_host_taken_bytes(host), ftrt_host_threads(host));
  if (ftrt_host_init(host, 42))
    return die(host);

  const int entry = ftrt_host_entry(host, FTRT_ENTRY_STEP);
  int64_t batch, length;
  ftrt_tensor tokens, labels, positions, starts, loss;
  if (ftrt_host_entry_shape(host, entry, &batch, &length) || ftrt_host_input(host, entry, "tokens", &tokens) ||
      ftrt_host_input(host, entry, "labels", &labels) || ftrt_host_input(host, entry, "positions", &positions) ||
      ftrt_host_input(host, entry, "segment_starts", &starts) || ftrt_host_output(host, entry, "loss", &loss))
    return die(host);
  ftrt_tensor pairs;
  if (!ftrt_host_output(host, entry, "log_probs", &pairs)) {
    fprintf(stderr, "embed: %s trains pairs of answers, and this program reads texts\n", argv[1]);
    ftrt_host_close(host);
    return 1;
  }

  FILE *file = fopen(argv[2], "rb");
  if (!file) {
    perror(argv[2]);
    ftrt_host_close(host);
    return 1;
  }
  for (uint64_t step = 1; step <= steps; ++step) {
    /* A row is one sample: each byte's label is the next byte, the last position has none. */
    int64_t valid = 0;
    for (int64_t row = 0; row < batch; ++row) {
      const int64_t first = row * length;
      for (int64_t at = 0; at < length; ++at) {
        int byte = fgetc(file);
        if (byte == EOF) {
          rewind(file);
          byte = fgetc(file);
        }
        ((int32_t *)tokens.data)[first + at] = byte == EOF ? 0 : byte;
        ((int32_t *)positions.data)[first + at] = (int32_t)at;
        ((int32_t *)starts.data)[first + at] = 0;
        ((int32_t *)labels.data)[first + at] = -100;
        if (at > 0) {
          ((int32_t *)labels.data)[first + at - 1] = ((int32_t *)tokens.data)[first + at];
          ++valid;
        }
      }
    }
    const ftrt_scalars scalars = {
        .learning_rate = rate, .inv_tokens = valid ? 1.0f / (float)valid : 0.0f, .step = step, .seed = 42};
    if (ftrt_host_run(host, entry, &scalars)) {
      fclose(file);
      return die(host);
    }
    printf("step %" PRIu64 " loss %.6f\n", step, (double)*(const float *)loss.data);
  }
  fclose(file);
  ftrt_host_close(host);
  return 0;
}
