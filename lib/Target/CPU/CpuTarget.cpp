//===- CpuTarget.cpp - What the CPU target knows of its CPU ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/CpuTarget.h"

#include "ftc/Support/Suggest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"

using namespace ftc;

/// The features that generated code may use. A list of its own, and no more than useful: what a step asks of a machine
/// is exactly this much of what its CPU's name implies. No AVX512-BF16: its conversions flush denormal numbers.
static constexpr const char *usefulFeatures[] = {"sse3",  "ssse3",   "sse4.1",   "sse4.2",   "popcnt",   "avx",
                                                 "f16c",  "avx2",    "fma",      "bmi",      "bmi2",     "lzcnt",
                                                 "movbe", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"};

/// Blocks of the packed product, by the width of a vector: kc × nr of B and mr × kc of A stay in L1, mc × kc of A in
/// L2.
static void chooseBlocks(cpu::CpuTarget &target) {
  if (target.vectorBits == 512) {
    target.mr = 12, target.nr = 32;
    target.mc = 240, target.kc = 384, target.nc = 2048;
  } else {
    target.mr = 6, target.nr = 16;
    target.mc = 168, target.kc = 256, target.nc = 2048;
  }
}

std::optional<cpu::CpuTarget> cpu::resolveCpu(const std::string &name, unsigned threads, std::string &error) {
  if (threads < 1 || threads > 1024) {
    error = "cannot compile for " + std::to_string(threads) + " threads; give a number from 1 to 1024";
    return std::nullopt;
  }
  bool native = name == "native";
  CpuTarget target;
  target.cpu = native ? llvm::sys::getHostCPUName().str() : name;
  target.threads = threads;

  llvm::SmallVector<llvm::StringRef> known;
  llvm::X86::fillValidCPUArchList(known, /*Only64Bit=*/true);
  if (!llvm::is_contained(known, target.cpu)) {
    if (native) {
      // A host whose name LLVM does not know for x86-64 can still have the features of a level.
      target.cpu = "x86-64-v3";
    } else {
      std::vector<std::string> candidates(known.begin(), known.end());
      candidates.push_back("native");
      error = "unknown CPU '" + name + "'";
      if (std::optional<std::string> near = nearest(name, candidates))
        error += "; did you mean '" + *near + "'?";
      else
        error += ";";
      error += " 'x86-64-v3' runs on any machine with AVX2 and FMA, 'native' takes this one";
      return std::nullopt;
    }
  }

  llvm::SmallVector<llvm::StringRef> implied;
  llvm::X86::getFeaturesForCPU(target.cpu, implied);
  // A virtual machine may hide features that its CPU's name implies.
  llvm::StringMap<bool> host;
  if (native)
    host = llvm::sys::getHostCPUFeatures();
  for (const char *feature : usefulFeatures)
    if (llvm::is_contained(implied, feature) && (!native || host.lookup(feature)))
      target.features.push_back(feature);

  auto has = [&](const char *feature) { return llvm::is_contained(target.features, feature); };
  if (!has("avx2") || !has("fma")) {
    error = (native ? "this machine (" + target.cpu + ")" : "the CPU '" + name + "'") +
            " has no AVX2 with FMA, which generated code needs; compile for another one, e.g. 'x86-64-v3'";
    return std::nullopt;
  }
  bool wide = has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl") && has("avx512cd");
  if (!wide)
    llvm::erase_if(target.features, [](const std::string &feature) { return feature.rfind("avx512", 0) == 0; });
  target.vectorBits = wide ? 512 : 256;
  chooseBlocks(target);
  return target;
}
