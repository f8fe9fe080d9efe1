/* A CUDA driver without a GPU, for tests of the runtime: memory, streams, events, modules and graphs with the rules of
 * the real one as far as the runtime relies on them, and stricter where a mistake would else pass.
 *
 * - Device addresses may not be touched by the host: their range is reserved without access, and what they stand for
 *   lies elsewhere. A host address that is used as a device address, or the reverse, is an error. New memory is
 * garbage.
 * - Nothing that is queued runs before somebody waits for it, and then as late as streams and events allow: a missing
 *   event, or a buffer that is used again too early, gives wrong results.
 * - While a stream is recorded, nothing runs; allocations and waits are errors; streams that have joined must be joined
 *   again at the end.
 * - After a fault every call fails, as on a GPU.
 *
 * Environment: FAKE_CUDA_DEVICES (1), FAKE_CUDA_ARCH (90), FAKE_CUDA_MEMORY (bytes, 1 GiB), FAKE_CUDA_LOG (file that
 * calls are appended to), FAKE_CUDA_FAIL (FUNCTION=CODE or FUNCTION=CODE@N, the Nth call), FAKE_CUDA_FAULT (KERNEL or
 * KERNEL@N, the Nth run), FAKE_CUDA_RECORD (set: kernels of cubins and PTX, which cannot run here, and products are
 * only counted), FAKE_CUDA_OLD (set: a driver that is older than any cubin).
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#define _GNU_SOURCE
#include "FakeDriver.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Memory ---- */

struct range {
  uint64_t at;
  size_t bytes;
};
static struct range allocations[MOST_RANGES], pinned[MOST_RANGES];
static char *reserved, *shadow; /* of the device: its addresses, and where the bytes are */
static size_t total, next, consumed;
#define MOST_MEMORY ((size_t)64 << 30) /* of addresses */

static size_t in_pages(size_t bytes) { return (bytes + (2 << 20) - 1) / (2 << 20) * (2 << 20); }

static int inside(const struct range *ranges, uint64_t at, size_t bytes) {
  for (int i = 0; i < MOST_RANGES; ++i)
    if (ranges[i].bytes && at >= ranges[i].at && at - ranges[i].at <= ranges[i].bytes &&
        bytes <= ranges[i].bytes - (at - ranges[i].at))
      return 1;
  return 0;
}

void *fake_cuda_memory(uint64_t address, size_t bytes) {
  return inside(allocations, address, bytes) ? shadow + (address - (uint64_t)(uintptr_t)reserved) : NULL;
}

void fake_cuda_consume(size_t bytes) { consumed += in_pages(bytes); }
void fake_cuda_give_back(size_t bytes) { consumed -= in_pages(bytes); }

/* ---- Errors, log ---- */

int fake_broken, fake_current;
static int log_file = -1;

void fake_cuda_log(const char *format, ...) {
  char line[512];
  va_list values;
  if (log_file < 0)
    return;
  va_start(values, format);
  int length = vsnprintf(line, sizeof(line) - 1, format, values);
  va_end(values);
  length = length < (int)sizeof(line) - 1 ? length : (int)sizeof(line) - 2;
  line[length++] = '\n';
  if (write(log_file, line, (size_t)length) < 0)
    abort();
}

/* Where in the words of a variable we are: which call of the function that it names. */
struct occasion {
  char text[128];
  int calls;
};

/* Whether it is `name`'s turn by variable `variable`: NAME=CODE, NAME=CODE@N or NAME@N. Other words start a new count.
 */
static int named(const char *variable, const char *name, struct occasion *occasion, int *code) {
  const char *text = getenv(variable);
  size_t length = strlen(name);
  if (!text || strncmp(text, name, length) != 0 || (text[length] && text[length] != '=' && text[length] != '@'))
    return 0;
  if (strcmp(occasion->text, text) != 0) {
    snprintf(occasion->text, sizeof(occasion->text), "%s", text);
    occasion->calls = 0;
  }
  ++occasion->calls;
  if (text[length] == '=' && code)
    *code = atoi(text + length + 1);
  const char *nth = strchr(text, '@');
  return !nth || occasion->calls == atoi(nth + 1);
}

int fake_cuda_enter(const char *name) {
  static struct occasion occasion;
  int code = 0;
  if (fake_broken)
    return fake_broken;
  return named("FAKE_CUDA_FAIL", name, &occasion, &code) ? code : OK;
}

int fake_fault(const char *what, const char *name) {
  fake_cuda_log("fault: %s %s", what, name);
  return fake_broken = ILLEGAL_ADDRESS;
}

int fake_run_kernel(const struct work *work) {
  static struct occasion occasion;
  void *arguments[MOST_ARGUMENTS];
  fake_cuda_log("run %s", work->function->name);
  if (named("FAKE_CUDA_FAULT", work->function->name, &occasion, NULL))
    return fake_fault("kernel", work->function->name);
  for (unsigned i = 0; i < work->function->arguments; ++i)
    // Sizes are numbers, and so small that no memory lies there.
    if (work->arguments[i] > 0 && work->arguments[i] < 4096)
      arguments[i] = (void *)work->arguments[i];
    else if (!(arguments[i] = fake_cuda_memory(work->arguments[i], 0)))
      return fake_fault("argument of kernel", work->function->name);
  if (work->function->run)
    work->function->run(&work->launch, arguments);
  return OK;
}

/* ---- Device, context ---- */

static size_t variable(const char *name, size_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 0) : otherwise;
}
static int started;

int cuInit(unsigned flags) {
  if (getenv("FAKE_CUDA_LOG") && log_file < 0)
    log_file = open(getenv("FAKE_CUDA_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  ENTER();
  if (variable("FAKE_CUDA_DEVICES", 1) == 0)
    return NO_DEVICE;
  total = variable("FAKE_CUDA_MEMORY", (size_t)1 << 30);
  if (!started) {
    reserved = mmap(NULL, MOST_MEMORY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    shadow = mmap(NULL, MOST_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED || shadow == MAP_FAILED)
      abort();
    started = 1;
  }
  return OK;
}
int cuDriverGetVersion(int *version) {
  *version = 13000;
  return OK;
}
int cuDeviceGetCount(int *count) {
  ENTER();
  *count = (int)variable("FAKE_CUDA_DEVICES", 1);
  return OK;
}
int cuDeviceGet(int *device, int ordinal) {
  ENTER();
  *device = ordinal;
  return ordinal < (int)variable("FAKE_CUDA_DEVICES", 1) ? OK : 101;
}
int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "Fake GPU");
  return OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  ENTER();
  const int architecture = (int)variable("FAKE_CUDA_ARCH", 90);
  *value = attribute == 75 ? architecture / 10 : attribute == 76 ? architecture % 10 : 0;
  return attribute == 75 || attribute == 76 ? OK : INVALID_VALUE;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  ENTER();
  *context = &started;
  return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  fake_current = 0;
  return OK;
}
int cuCtxSetCurrent(void *context) {
  ENTER();
  fake_current = context == &started;
  return fake_current ? OK : INVALID_CONTEXT;
}
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
  ENTER();
  size_t used = consumed;
  for (int i = 0; i < MOST_RANGES; ++i)
    used += in_pages(allocations[i].bytes);
  *total_bytes = total;
  *free_bytes = used < total ? total - used : 0;
  return OK;
}

static int keep(struct range *ranges, uint64_t at, size_t bytes) {
  for (int i = 0; i < MOST_RANGES; ++i)
    if (!ranges[i].bytes) {
      ranges[i] = (struct range){at, bytes};
      return OK;
    }
  return OUT_OF_MEMORY;
}
static size_t forget(struct range *ranges, uint64_t at) {
  for (int i = 0; i < MOST_RANGES; ++i)
    if (ranges[i].bytes && ranges[i].at == at) {
      size_t bytes = ranges[i].bytes;
      ranges[i].bytes = 0;
      return bytes;
    }
  return 0;
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  fake_cuda_log("cuMemAlloc %zu", bytes);
  ENTER();
  NOT_WHILE_RECORDING();
  size_t left = 0, whole = 0, live = 0;
  cuMemGetInfo_v2(&left, &whole);
  for (int i = 0; i < MOST_RANGES; ++i)
    live += allocations[i].bytes != 0;
  if (!live)
    next = 0;
  size_t room = (bytes + 0xffff) / 0x10000 * 0x10000 + 0x10000; /* and some that belongs to nobody */
  if (!bytes)
    return INVALID_VALUE;
  if (bytes > left || next + bytes > MOST_MEMORY)
    return OUT_OF_MEMORY;
  *address = (uint64_t)(uintptr_t)reserved + next;
  memset(shadow + next, 0xa5, bytes < (64 << 20) ? bytes : 64 << 20);
  next += room;
  return keep(allocations, *address, bytes);
}
int cuMemFree_v2(uint64_t address) {
  ENTER();
  NOT_WHILE_RECORDING();
  return forget(allocations, address) ? OK : INVALID_VALUE;
}
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
  fake_cuda_log("cuMemHostAlloc %zu", bytes);
  ENTER();
  NOT_WHILE_RECORDING();
  *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return *address == MAP_FAILED ? OUT_OF_MEMORY : keep(pinned, (uint64_t)(uintptr_t)*address, bytes);
}
int cuMemFreeHost(void *address) {
  ENTER();
  size_t bytes = forget(pinned, (uint64_t)(uintptr_t)address);
  return bytes && munmap(address, bytes) == 0 ? OK : INVALID_VALUE;
}

/* ---- Copies ---- */

static int copy(enum work_kind kind, uint64_t device, const void *host, size_t bytes, struct stream *stream) {
  if (!fake_current || !stream || !stream->used)
    return fake_current ? INVALID_HANDLE : INVALID_CONTEXT;
  if (!fake_cuda_memory(device, bytes) || (host && !inside(pinned, (uint64_t)(uintptr_t)host, bytes)))
    return INVALID_VALUE;
  struct work work = {.kind = kind, .device = device, .host = (void *)host, .bytes = bytes};
  return fake_queue(stream, &work);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, struct stream *stream) {
  fake_cuda_log("cuMemcpyHtoDAsync %zu stream %d", bytes, stream->index);
  ENTER();
  return from ? copy(TO_DEVICE, to, from, bytes, stream) : INVALID_VALUE;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, struct stream *stream) {
  fake_cuda_log("cuMemcpyDtoHAsync %zu stream %d", bytes, stream->index);
  ENTER();
  return to ? copy(TO_HOST, from, to, bytes, stream) : INVALID_VALUE;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, struct stream *stream) {
  ENTER();
  if (!fake_current || !fake_cuda_memory(to, bytes) || !fake_cuda_memory(from, bytes))
    return INVALID_VALUE;
  struct work work = {.kind = ON_DEVICE, .device = to, .from = from, .bytes = bytes};
  return fake_queue(stream, &work);
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, struct stream *stream) {
  ENTER();
  if (!fake_current || !fake_cuda_memory(to, bytes))
    return INVALID_VALUE;
  struct work work = {.kind = FILL, .device = to, .bytes = bytes, .payload = {(char)value}};
  return fake_queue(stream, &work);
}

/* ---- Modules and launches ---- */

struct module {
  struct function *functions;
  void *library;      /* of a test's module */
  const char *device; /* code for a GPU */
};

int cuModuleLoadDataEx(struct module **module, const void *image, unsigned options, int *names, void **values) {
  fake_cuda_log("cuModuleLoadDataEx");
  ENTER();
  NOT_WHILE_RECORDING();
  char wanted[32], path[1024];
  struct module made = {0};
  if (sscanf(image, FAKE_MODULE_HEADER "%31s\n%1023[^\n]", wanted, path) == 2) {
    char here[16];
    snprintf(here, sizeof(here), "sm_%da", (int)variable("FAKE_CUDA_ARCH", 90));
    if (strcmp(wanted, here) != 0)
      return NO_BINARY;
    made.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!made.library)
      return INVALID_IMAGE;
  } else if (memcmp(image, ELFMAG, SELFMAG) == 0 && getenv("FAKE_CUDA_OLD")) {
    return INVALID_IMAGE;
  } else if (memcmp(image, ELFMAG, SELFMAG) == 0 || strstr(image, ".target sm_")) {
    made.device = image;
  } else {
    for (unsigned i = 0; i < options; ++i)
      if (names[i] == 5)
        snprintf(values[i], 64, "line 1: this is no code");
    return INVALID_IMAGE;
  }
  *module = malloc(sizeof(made));
  **module = made;
  fake_cuda_consume(1 << 20);
  return OK;
}
int cuModuleUnload(struct module *module) {
  while (module->functions) {
    struct function *function = module->functions;
    module->functions = function->next;
    free(function);
  }
  if (module->library)
    dlclose(module->library);
  free(module);
  fake_cuda_give_back(1 << 20);
  return OK;
}

/* Whether a cubin, or PTX, has a function of this name. */
static int has_symbol(const char *image, const char *name) {
  if (memcmp(image, ELFMAG, SELFMAG) != 0) {
    char text[300];
    snprintf(text, sizeof(text), ".entry %s(", name);
    return strstr(image, text) != NULL;
  }
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i)
    if (sections[i].sh_type == SHT_SYMTAB) {
      const Elf64_Sym *symbols = (const Elf64_Sym *)(image + sections[i].sh_offset);
      const char *names = image + sections[sections[i].sh_link].sh_offset;
      for (size_t k = 0; k < sections[i].sh_size / sizeof(*symbols); ++k)
        if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC && strcmp(names + symbols[k].st_name, name) == 0)
          return 1;
    }
  return 0;
}

int cuModuleGetFunction(struct function **function, struct module *module, const char *name) {
  fake_cuda_log("cuModuleGetFunction %s", name);
  ENTER();
  NOT_WHILE_RECORDING();
  struct function made = {0};
  snprintf(made.name, sizeof(made.name), "%s", name);
  if (module->library) {
    char text[300];
    snprintf(text, sizeof(text), "%s_arguments", name);
    const unsigned *arguments = dlsym(module->library, text);
    *(void **)&made.run = dlsym(module->library, name);
    if (!made.run || !arguments)
      return NOT_FOUND;
    made.arguments = *arguments;
  } else if (!has_symbol(module->device, name)) {
    return NOT_FOUND;
  }
  *function = malloc(sizeof(made));
  made.next = module->functions;
  **function = made;
  module->functions = *function;
  return OK;
}
int cuFuncSetAttribute(struct function *function, int attribute, int value) {
  fake_cuda_log("cuFuncSetAttribute %s %d %d", function->name, attribute, value);
  ENTER();
  return attribute == 8 && value > 227 << 10 ? INVALID_VALUE : OK;
}
int cuFuncLoad(struct function *function) {
  fake_cuda_log("cuFuncLoad %s", function->name);
  ENTER();
  NOT_WHILE_RECORDING();
  return OK;
}
int cuLaunchKernel(struct function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared_bytes, struct stream *stream, void **parameters, void **extra) {
  fake_cuda_log("cuLaunchKernel %s stream %d", function->name, stream->index);
  ENTER();
  if (!fake_current || extra || !gx || !gy || !gz || !bx || !by || !bz || (size_t)bx * by * bz > 1024)
    return INVALID_VALUE;
  if (!function->run && !getenv("FAKE_CUDA_RECORD"))
    return NO_BINARY;
  struct work work = {.kind = KERNEL, .function = function, .launch = {{gx, gy, gz}, {bx, by, bz}, shared_bytes}};
  for (unsigned i = 0; i < function->arguments && i < MOST_ARGUMENTS; ++i)
    memcpy(&work.arguments[i], parameters[i], 8);
  return fake_queue(stream, &work);
}

/* ---- Words ---- */

static const struct {
  int code;
  const char *name, *text;
} words[] = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
             {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
             {34, "CUDA_ERROR_STUB_LIBRARY", "CUDA driver is a stub library"},
             {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
             {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
             {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
             {NO_BINARY, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
             {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
             {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
             {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
             {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted while recording"},
             {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a stream was not joined again"},
             {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "an event of another recording"}};

static const char *word(int code, int name) {
  for (size_t i = 0; i < sizeof(words) / sizeof(*words); ++i)
    if (words[i].code == code)
      return name ? words[i].name : words[i].text;
  return NULL;
}
int cuGetErrorName(int code, const char **text) {
  *text = word(code, 1);
  return *text ? OK : INVALID_VALUE;
}
int cuGetErrorString(int code, const char **text) {
  *text = word(code, 0);
  return *text ? OK : INVALID_VALUE;
}
