//===- Attentions.h - Attention of a step by cuDNN -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_ATTENTIONS_H
#define FTC_LIB_RUNTIME_CUDA_ATTENTIONS_H

#include "AttentionPlan.h"
#include "Documents.h"
#include "Libraries.h"
#include "Survey.h"

#include "ftc/Runtime/Device.h"

#include <memory>

namespace ftc::cuda {

/// "attention 3 (gradient, 2 x 4096 tokens, 32 heads and 8 of keys of 128 columns)"
std::string describeAttention(size_t index, const ftrt_attention &attention);
/// The same without the number: two attentions with one description are the same.
std::string identifyAttention(const ftrt_attention &attention);

/// What is given to every function of Attentions' making.
struct AttentionHost {
  const std::string &path;
  const ftrt_step &step;
  const manifest::Manifest &manifest;
  const DriverFunctions &cu;
  const std::vector<void *> &slabs;
  Stream stream;
  int architecture; ///< 90: sm_90
};

/// cuDNN's plans for the attentions of a step, and which documents a batch has. A plan is for so many documents at
/// most, and takes longer the more it is for, full or not; so there are two for each attention: one for a document a
/// row, one for 64 a row (none of these with versions before 9.25, which NVIDIA does not test with documents without
/// tokens, those of a list that are not there). An entry is queued, or recorded, in several *variants*: one for each of
/// these numbers, and a last one in which our own kernels do it all, for batches of more documents, or of segments that
/// are none.
///
/// What cuDNN cannot do, or has no room for, is declined in all variants: our own kernels do it.
class Attentions {
public:
  /// Where the context is current. `kept` names plans that were chosen before, for this version of cuDNN on this kind
  /// of device, or is null. Without cuDNN, or with FTRT_CUDNN=0, all is declined. Throws RunError: Unsupported where
  /// FTRT_CUDNN=1 and something would be declined, BadStep where cuDNN refuses a plan that was kept.
  Attentions(const AttentionHost &host, const Survey &survey, const std::string &device, const ProductAlgorithms *kept);
  ~Attentions();
  Attentions(const Attentions &) = delete;
  Attentions &operator=(const Attentions &) = delete;

  /// How many variants an entry has; the last one is that of our own kernels alone.
  size_t variants(size_t entry) const { return entries[entry].capacities.size() + 1; }
  /// The input of an entry with the segment starts of its attentions; null where it has none.
  const manifest::Tensor *starts(size_t entry) const { return entries[entry].starts; }
  /// The variant for a batch with these segment starts. Its documents are listed in pinned memory, from which
  /// queueLists copies them. Allocates nothing.
  size_t choose(size_t entry, const int32_t *starts);
  /// Whether cuDNN computes an attention; and the first entry that asks for it.
  bool computes(size_t attention) const { return !plans[attention].empty(); }
  size_t entryOf(size_t attention) const { return firstEntries[attention]; }
  /// From now on declines an attention, or no longer; and for good, with the reason.
  void pause(size_t attention, bool paused) { this->paused[attention] = paused; }
  void leave(size_t attention, std::string reason);
  /// Queues the copies that `variant` needs.
  Result queueLists(size_t entry, size_t variant) const;
  /// Queues an attention: 0, or FTRT_DECLINED, or 1 with `error`.
  int32_t attend(size_t entry, size_t variant, uint32_t attention, const uint64_t *addresses, std::string &error) const;

  /// "cuDNN 9.26.0"; empty where it is not used.
  const std::string &library() const { return libraryText; }
  /// "cuDNN 9.26.0 (/usr/lib/libcudnn.so.9)"; empty where it is not used.
  std::string describe() const;
  /// What computes each attention, in words, a line each.
  std::vector<std::string> lines() const;
  /// What was chosen, to be kept.
  const std::vector<ProductAlgorithms::Attention> &choices() const { return chosen; }

private:
  /// Lists of documents for attentions of one size, in pinned memory and on the device.
  struct Lists {
    uint64_t heads, keyHeads, headDim; ///< offsets are in elements
    Address device;
    std::byte *host;
    DocumentLists at;
  };
  struct Entry {
    const manifest::Tensor *starts = nullptr;
    uint64_t batch = 0, sequence = 0;
    std::vector<uint64_t> capacities; ///< documents, ascending
    std::vector<Lists> lists;
    uint64_t listBytes = 0;
  };

  void findEntries(const Survey &survey);
  void makePlans(const ProductAlgorithms *kept);
  void makeLists();
  void release();
  std::vector<uint64_t> capacitiesOf(const ftrt_attention &attention) const;
  const Lists *listsOf(size_t entry, const ftrt_attention &attention) const;
  void write(const Lists &lists, const Entry &entry) const;

  const AttentionHost host;
  const Dnn *dnn = nullptr;
  DnnHandle handle = nullptr;
  std::string libraryText;
  bool takesEmptyDocuments = false; ///< a plan may be asked for fewer documents than it is for
  std::vector<Entry> entries;
  std::vector<std::vector<std::unique_ptr<AttentionPlan>>> plans; ///< of each attention, for each capacity
  std::vector<std::string> reasons;                               ///< of each attention: why it is declined
  std::vector<bool> paused;
  std::vector<size_t> firstEntries;
  std::vector<ProductAlgorithms::Attention> chosen;
  std::vector<Document> documents; ///< room for those of any batch
  Address device = 0;
  std::byte *pinned = nullptr;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_ATTENTIONS_H
