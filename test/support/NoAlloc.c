/* Preloaded into ftrun by a test: stops the program when memory is asked for while the allocation gate is closed (see
 * include/ftc/Runtime/AllocationGate.h). operator new ends in malloc, so C++ is caught too; mmap is caught beside it.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own names of its allocator. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_int closed;
static atomic_long closings;

static void say(const char *text) {
  if (write(2, text, strlen(text)) < 0)
    _exit(98);
}

static void check(const char *what) {
  if (!closed)
    return;
  closed = 0;
  say("no-alloc: ");
  say(what);
  say(" between the first and the last step\n");
  abort();
}

void ftrt_allocation_gate(int close) {
  closed = close;
  if (close)
    ++closings;
}

/* The test wants to know that the gate was there at all. */
__attribute__((destructor)) static void report(void) {
  if (closings)
    say("no-alloc: the gate was closed and nothing was allocated\n");
}

void *malloc(size_t size) {
  check("malloc");
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  check("calloc");
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  check("realloc");
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  check("memalign");
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  check("aligned_alloc");
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
  check("posix_memalign");
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
  check("mmap");
  return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
  check("mmap");
  return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}
