/* What the fake driver, the fake cuBLASLt and the fake cuDNN share, and what a module of theirs is.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#ifndef FTC_TEST_SUPPORT_CUDA_FAKECUDA_H
#define FTC_TEST_SUPPORT_CUDA_FAKECUDA_H

#include <stddef.h>
#include <stdint.h>

/* A module is this line, then a line with its architecture ("sm_90a"), then a line with the path of a shared library.
 * The library has, for each kernel K, a function `void K(const fake_launch *, void *const *)`, which gets its arguments
 * as host addresses of device memory, or as numbers below 4096, and does the work of all blocks, and `const unsigned
 * K_arguments`. */
#define FAKE_MODULE_HEADER "ftc test module\n"

typedef struct fake_launch {
  unsigned grid[3], block[3], shared_bytes;
} fake_launch;

typedef void (*fake_kernel)(const fake_launch *launch, void *const *arguments);

/* Writes a line to the log (FAKE_CUDA_LOG). */
void fake_cuda_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For the function `name`: the error to return at once, or 0. */
int fake_cuda_enter(const char *name);
/* Queues `work(payload)` on a stream, to be run when somebody waits for it; `payload` is copied (256 bytes at most). */
int fake_cuda_submit(void *stream, int (*work)(const void *payload), const void *payload, size_t bytes);
/* Host address of device memory that lies in one allocation; NULL for anything else. Only while work runs. */
void *fake_cuda_memory(uint64_t address, size_t bytes);
/* Takes bytes of the device's free memory, as a library does when it is first used, and gives them back. */
void fake_cuda_consume(size_t bytes);
void fake_cuda_give_back(size_t bytes);

#endif /* FTC_TEST_SUPPORT_CUDA_FAKECUDA_H */
