//===- AttentionPlan.h - A kernel of cuDNN's for an attention --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_ATTENTIONPLAN_H
#define FTC_LIB_RUNTIME_CUDA_ATTENTIONPLAN_H

#include "AttentionGraph.h"

namespace ftc::cuda {

/// What plans are made for: a device that is here, or, with `described`, one that only is. For the latter, plans can be
/// made and asked about, which takes a driver's library, but no device.
struct DnnDevice {
  const DnnFunctions &functions;
  DnnHandle handle = nullptr;
  const DnnOwner *described = nullptr; ///< of kind Device
  int architecture = 0;                ///< 90: sm_90

  size_t version() const { return functions.getVersion(); } ///< 91900: 9.19.0
};

/// A device by what its properties are, as cuDNN writes them. Throws DnnError.
DnnOwner describedDevice(const DnnFunctions &functions, const std::string &json);

/// Device addresses of the lists of documents (DnnTensor).
struct DocumentLists {
  Address queryOffsets = 0, keyOffsets = 0, lseOffsets = 0, lengths = 0;
};

/// Why this version of cuDNN is not asked on this architecture; "" where it is. A gradient has to have the same bits
/// each time, and has to do with working memory that grows with the tokens, not with their square: on Hopper from 9.25
/// on, on Blackwell from 9.18 on, on others never.
std::string whyNoPlan(const DnnDevice &device, bool gradient);

/// A plan: an engine of cuDNN and the values of its knobs, whose code is loaded.
class AttentionPlan {
public:
  /// The first plan that cuDNN proposes, or, with `kept`, the one of this name. At most `shape.workspace_bytes` are
  /// used. Throws DnnError with the reason where there is none.
  AttentionPlan(const DnnDevice &device, const ftrt_attention &shape, int64_t documents, const std::string &kept = "");

  /// NVIDIA's way to name a plan: "eng2_k24=7", engine 2 with knob 24 at 7.
  const std::string &name() const { return text; }
  uint64_t workspaceBytes() const { return bytes; }

  /// Queues it on the stream of the device's handle; addresses as ftrt_device.attention gets them. Throws DnnError.
  void run(const uint64_t *addresses, const DocumentLists &lists) const;

private:
  struct Knob {
    int kind;
    int64_t value;
  };
  struct Choice {
    int64_t engine;
    std::vector<Knob> knobs;
  };
  static std::string nameOf(const Choice &choice);
  static std::optional<Choice> choiceOf(const std::string &name);
  std::vector<Choice> proposals() const;
  /// The plan that cuDNN has known to be stable for gradients, by its engine and knobs.
  Choice stableGradient() const;
  void take(const Choice &choice);

  const DnnDevice device;
  const ftrt_attention shape;
  AttentionGraph ops;
  std::optional<DnnOwner> plan;
  std::string text;
  uint64_t planBytes = 0, bytes = 0;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_ATTENTIONPLAN_H
