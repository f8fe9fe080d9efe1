/* cuBLASLt without a GPU, for tests of the runtime: products by plain loops over column-major matrices, queued on the
 * fake driver's streams. Its heuristic offers, before three algorithms that may be taken, one that needs more workspace
 * than it was given and one whose sums have no fixed order; the three differ in what they add to every number (nothing,
 * 1/1024, 2/1024), so that it shows which one was taken. FAKE_LT_NONE: it offers only the two. FAKE_LT_SLOW: the number
 * of algorithms, of the three, that take a millisecond longer. FAKE_LT_VERSION: instead of 130100. FAKE_CUDA_RECORD:
 * products are only counted, as kernels are then.
 *
 * Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 */
#include "FakeCuda.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { REAL32 = 0, BFLOAT16 = 14, COMPUTE32 = 68, IN_PLACE = 1, COMPUTE_TYPE = 2 };

struct layout {
  int type;
  uint64_t rows, columns;
  int64_t leading;
};
struct desc {
  int trans_a, trans_b;
};
struct preference {
  uint64_t workspace;
  uint32_t reduction, alignment[4];
};
struct algorithm {
  uint64_t known; /* 1 to 3: this algorithm is one of ours */
  uint64_t reduction, workspace;
  uint32_t alignment[4];
  uint64_t unused[3];
};
struct heuristic {
  struct algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

int cublasLtCreate(int **handle) {
  int failed = fake_cuda_enter(__func__);
  if (!failed)
    *handle = calloc(1, sizeof(int));
  return failed;
}
int cublasLtDestroy(int *handle) {
  free(handle);
  return OK;
}
const char *cublasLtGetStatusName(int status) {
  return status == OK              ? "CUBLAS_STATUS_SUCCESS"
         : status == 1             ? "CUBLAS_STATUS_NOT_INITIALIZED"
         : status == INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == 13            ? "CUBLAS_STATUS_EXECUTION_FAILED"
                                   : "CUBLAS_STATUS_NOT_SUPPORTED";
}
size_t cublasLtGetVersion(void) {
  const char *version = getenv("FAKE_LT_VERSION");
  return version ? strtoull(version, NULL, 10) : 130100;
}

int cublasLtMatrixLayoutCreate(struct layout **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  if ((type != REAL32 && type != BFLOAT16) || !rows || !columns || leading < (int64_t)rows)
    return INVALID_VALUE;
  *layout = malloc(sizeof(**layout));
  **layout = (struct layout){type, rows, columns, leading};
  return OK;
}
int cublasLtMatrixLayoutDestroy(struct layout *layout) {
  free(layout);
  return OK;
}
int cublasLtMatmulDescCreate(struct desc **desc, int compute, int scale) {
  *desc = calloc(1, sizeof(**desc));
  return compute == COMPUTE32 && scale == REAL32 ? OK : NOT_SUPPORTED;
}
int cublasLtMatmulDescDestroy(struct desc *desc) {
  free(desc);
  return OK;
}
int cublasLtMatmulDescSetAttribute(struct desc *desc, int attribute, const void *value, size_t bytes) {
  if ((attribute != 3 && attribute != 4) || bytes != 4)
    return INVALID_VALUE;
  memcpy(attribute == 3 ? &desc->trans_a : &desc->trans_b, value, bytes);
  return OK;
}
int cublasLtMatmulPreferenceCreate(struct preference **preference) {
  *preference = malloc(sizeof(**preference));
  **preference = (struct preference){0, 7, {256, 256, 256, 256}};
  return OK;
}
int cublasLtMatmulPreferenceDestroy(struct preference *preference) {
  free(preference);
  return OK;
}
int cublasLtMatmulPreferenceSetAttribute(struct preference *preference, int attribute, const void *value,
                                         size_t bytes) {
  void *place = attribute == 1                     ? (void *)&preference->workspace
                : attribute == 3                   ? (void *)&preference->reduction
                : attribute >= 5 && attribute <= 8 ? (void *)&preference->alignment[attribute - 5]
                                                   : NULL;
  if (!place || bytes != (attribute == 1 ? 8 : 4))
    return INVALID_VALUE;
  memcpy(place, value, bytes);
  return OK;
}

/* Rows and columns of op(x). */
static void shape(const struct layout *x, int transposed, uint64_t *rows, uint64_t *columns) {
  *rows = transposed ? x->columns : x->rows;
  *columns = transposed ? x->rows : x->columns;
}
static int fits(const struct desc *desc, const struct layout *a, const struct layout *b, const struct layout *c,
                const struct layout *d) {
  uint64_t m, n, k, inner;
  shape(a, desc->trans_a, &m, &k);
  shape(b, desc->trans_b, &inner, &n);
  return k == inner && d->rows == m && d->columns == n && c->rows == m && c->columns == n && c->type == d->type &&
         a->type == b->type;
}

int cublasLtMatmulAlgoGetHeuristic(int *handle, struct desc *desc, struct layout *a, struct layout *b, struct layout *c,
                                   struct layout *d, struct preference *preference, int wanted,
                                   struct heuristic *results, int *found) {
  int failed = fake_cuda_enter(__func__);
  if (failed)
    return failed;
  if (!fits(desc, a, b, c, d))
    return INVALID_VALUE;
  fake_cuda_log("cublasLtMatmulAlgoGetHeuristic workspace %llu reduction %u alignment %u %u %u %u",
                (unsigned long long)preference->workspace, preference->reduction, preference->alignment[0],
                preference->alignment[1], preference->alignment[2], preference->alignment[3]);
  *found = 0;
  for (int i = 0; i < (getenv("FAKE_LT_NONE") ? 2 : 5) && i < wanted; ++i) {
    struct heuristic *result = &results[(*found)++];
    *result = (struct heuristic){.algorithm = {.known = i < 2 ? 0 : (uint64_t)i - 1}};
    result->algorithm.reduction = i == 1 ? IN_PLACE : COMPUTE_TYPE;
    result->algorithm.workspace = result->workspace = i == 0 ? preference->workspace + 1 : preference->workspace;
    memcpy(result->algorithm.alignment, preference->alignment, sizeof(preference->alignment));
  }
  return OK;
}
int cublasLtMatmulAlgoCheck(int *handle, struct desc *desc, struct layout *a, struct layout *b, struct layout *c,
                            struct layout *d, const struct algorithm *algorithm, struct heuristic *result) {
  fake_cuda_log("cublasLtMatmulAlgoCheck");
  int failed = fake_cuda_enter(__func__);
  if (failed)
    return failed;
  if (!fits(desc, a, b, c, d) || algorithm->known < 1 || algorithm->known > 3)
    return NOT_SUPPORTED;
  result->workspace = algorithm->workspace;
  return OK;
}
int cublasLtMatmulAlgoConfigGetAttribute(const struct algorithm *algorithm, int attribute, void *value, size_t bytes,
                                         size_t *written) {
  if (attribute != 3 || bytes != 4)
    return INVALID_VALUE;
  memcpy(value, &algorithm->reduction, bytes);
  *written = bytes;
  return OK;
}

struct product {
  struct layout a, b, c, d;
  int trans_a, trans_b;
  float alpha, beta;
  uint64_t known;
  uint64_t at_a, at_b, at_c, at_d;
};

static float load(const void *base, const struct layout *layout, uint64_t row, uint64_t column) {
  const uint64_t at = row + column * (uint64_t)layout->leading;
  if (layout->type == REAL32)
    return ((const float *)base)[at];
  union {
    uint32_t bits;
    float value;
  } wide = {(uint32_t)((const uint16_t *)base)[at] << 16};
  return wide.value;
}
static void store(void *base, const struct layout *layout, uint64_t row, uint64_t column, float value) {
  const uint64_t at = row + column * (uint64_t)layout->leading;
  union {
    float value;
    uint32_t bits;
  } wide = {value};
  if (layout->type == REAL32)
    ((float *)base)[at] = value;
  else
    ((uint16_t *)base)[at] = (uint16_t)((wide.bits + 0x7fff + (wide.bits >> 16 & 1)) >> 16);
}
static size_t extent(const struct layout *layout) {
  return ((layout->columns - 1) * (uint64_t)layout->leading + layout->rows) * (layout->type == REAL32 ? 4 : 2);
}

static int multiply(const void *payload) {
  const struct product *p = payload;
  const void *a = fake_cuda_memory(p->at_a, extent(&p->a)), *b = fake_cuda_memory(p->at_b, extent(&p->b));
  const void *c = fake_cuda_memory(p->at_c, extent(&p->c));
  void *d = fake_cuda_memory(p->at_d, extent(&p->d));
  fake_cuda_log("run matmul");
  if (!a || !b || !c || !d)
    return 1;
  if (getenv("FAKE_CUDA_RECORD"))
    return 0;
  const char *slow = getenv("FAKE_LT_SLOW");
  if (slow && p->known <= (uint64_t)atoi(slow))
    usleep(1000);
  uint64_t m, n, k;
  shape(&p->a, p->trans_a, &m, &k);
  n = p->d.columns;
  for (uint64_t column = 0; column < n; ++column)
    for (uint64_t row = 0; row < m; ++row) {
      float sum = (float)(p->known - 1) / 1024;
      for (uint64_t i = 0; i < k; ++i)
        sum += (p->trans_a ? load(a, &p->a, i, row) : load(a, &p->a, row, i)) *
               (p->trans_b ? load(b, &p->b, column, i) : load(b, &p->b, i, column));
      const float addend = p->beta != 0 ? p->beta * load(c, &p->c, row, column) : 0;
      store(d, &p->d, row, column, p->alpha * sum + addend);
    }
  return 0;
}

int cublasLtMatmul(int *handle, struct desc *desc, const float *alpha, uint64_t a, struct layout *layout_a, uint64_t b,
                   struct layout *layout_b, const float *beta, uint64_t c, struct layout *layout_c, uint64_t d,
                   struct layout *layout_d, const struct algorithm *algorithm, uint64_t workspace,
                   size_t workspace_bytes, void *stream) {
  fake_cuda_log("cublasLtMatmul");
  int failed = fake_cuda_enter(__func__);
  if (failed)
    return failed;
  const uint32_t *alignment = algorithm->alignment;
  if (!fits(desc, layout_a, layout_b, layout_c, layout_d) || !algorithm->known ||
      workspace_bytes < algorithm->workspace || (workspace_bytes && workspace % 256) || a % alignment[0] ||
      b % alignment[1] || c % alignment[2] || d % alignment[3])
    return INVALID_VALUE;
  if (*handle == 0)
    fake_cuda_consume(16 << 20); /* code that is loaded late */
  *handle = 1;
  const struct product product = {
      *layout_a, *layout_b, *layout_c, *layout_d, desc->trans_a, desc->trans_b, *alpha, *beta, algorithm->known,
      a,         b,         c,         d};
  return fake_cuda_submit(stream, multiply, &product, sizeof(product)) ? 13 : OK;
}
