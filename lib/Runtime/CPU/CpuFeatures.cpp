//===- CpuFeatures.cpp - What this CPU can do, in LLVM's words -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/CPU/CpuFeatures.h"

#include <cpuid.h>
#include <cstdint>
#include <cstring>

namespace ftc {
namespace {

/// Registers that the operating system must save before a feature may be used (bits of XCR0).
enum class Saved : uint32_t { None = 0, Avx = 0x6, Avx512 = 0xe6, Amx = 0x60000, Apx = 0x80000 };

enum Register : uint8_t { EAX, EBX, ECX, EDX };

struct Feature {
  std::string_view name;
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  uint8_t bit;
  Saved saved = Saved::None;
};

// Names from LLVM's X86TargetParser, places from the manuals of Intel and AMD (instruction CPUID).
constexpr uint32_t extended = 0x80000001u;
constexpr uint32_t extended8 = 0x80000008u;
constexpr Feature features[] = {
    {"cx8", 1, 0, EDX, 8},
    {"cmov", 1, 0, EDX, 15},
    {"mmx", 1, 0, EDX, 23},
    {"fxsr", 1, 0, EDX, 24},
    {"sse", 1, 0, EDX, 25},
    {"sse2", 1, 0, EDX, 26},
    {"sse3", 1, 0, ECX, 0},
    {"pclmul", 1, 0, ECX, 1},
    {"ssse3", 1, 0, ECX, 9},
    {"fma", 1, 0, ECX, 12, Saved::Avx},
    {"cx16", 1, 0, ECX, 13},
    {"sse4.1", 1, 0, ECX, 19},
    {"sse4.2", 1, 0, ECX, 20},
    {"crc32", 1, 0, ECX, 20},
    {"movbe", 1, 0, ECX, 22},
    {"popcnt", 1, 0, ECX, 23},
    {"aes", 1, 0, ECX, 25},
    {"xsave", 1, 0, ECX, 27},
    {"avx", 1, 0, ECX, 28, Saved::Avx},
    {"f16c", 1, 0, ECX, 29, Saved::Avx},
    {"rdrnd", 1, 0, ECX, 30},
    {"64bit", extended, 0, EDX, 29},
    {"sahf", extended, 0, ECX, 0},
    {"lzcnt", extended, 0, ECX, 5},
    {"sse4a", extended, 0, ECX, 6},
    {"prfchw", extended, 0, ECX, 8},
    {"xop", extended, 0, ECX, 11, Saved::Avx},
    {"lwp", extended, 0, ECX, 15},
    {"fma4", extended, 0, ECX, 16, Saved::Avx},
    {"tbm", extended, 0, ECX, 21},
    {"mwaitx", extended, 0, ECX, 29},
    {"clzero", extended8, 0, EBX, 0},
    {"rdpru", extended8, 0, EBX, 4},
    {"wbnoinvd", extended8, 0, EBX, 9},
    {"fsgsbase", 7, 0, EBX, 0},
    {"sgx", 7, 0, EBX, 2},
    {"bmi", 7, 0, EBX, 3},
    {"avx2", 7, 0, EBX, 5, Saved::Avx},
    {"bmi2", 7, 0, EBX, 8},
    {"invpcid", 7, 0, EBX, 10},
    {"rtm", 7, 0, EBX, 11},
    {"avx512f", 7, 0, EBX, 16, Saved::Avx512},
    {"avx512dq", 7, 0, EBX, 17, Saved::Avx512},
    {"rdseed", 7, 0, EBX, 18},
    {"adx", 7, 0, EBX, 19},
    {"avx512ifma", 7, 0, EBX, 21, Saved::Avx512},
    {"clflushopt", 7, 0, EBX, 23},
    {"clwb", 7, 0, EBX, 24},
    {"avx512cd", 7, 0, EBX, 28, Saved::Avx512},
    {"sha", 7, 0, EBX, 29},
    {"avx512bw", 7, 0, EBX, 30, Saved::Avx512},
    {"avx512vl", 7, 0, EBX, 31, Saved::Avx512},
    {"avx512vbmi", 7, 0, ECX, 1, Saved::Avx512},
    {"pku", 7, 0, ECX, 4},
    {"waitpkg", 7, 0, ECX, 5},
    {"avx512vbmi2", 7, 0, ECX, 6, Saved::Avx512},
    {"shstk", 7, 0, ECX, 7},
    {"gfni", 7, 0, ECX, 8},
    {"vaes", 7, 0, ECX, 9, Saved::Avx},
    {"vpclmulqdq", 7, 0, ECX, 10, Saved::Avx},
    {"avx512vnni", 7, 0, ECX, 11, Saved::Avx512},
    {"avx512bitalg", 7, 0, ECX, 12, Saved::Avx512},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Saved::Avx512},
    {"rdpid", 7, 0, ECX, 22},
    {"kl", 7, 0, ECX, 23},
    {"cldemote", 7, 0, ECX, 25},
    {"movdiri", 7, 0, ECX, 27},
    {"movdir64b", 7, 0, ECX, 28},
    {"enqcmd", 7, 0, ECX, 29},
    {"uintr", 7, 0, EDX, 5},
    {"avx512vp2intersect", 7, 0, EDX, 8, Saved::Avx512},
    {"serialize", 7, 0, EDX, 14},
    {"tsxldtrk", 7, 0, EDX, 16},
    {"pconfig", 7, 0, EDX, 18},
    {"amx-bf16", 7, 0, EDX, 22, Saved::Amx},
    {"avx512fp16", 7, 0, EDX, 23, Saved::Avx512},
    {"amx-tile", 7, 0, EDX, 24, Saved::Amx},
    {"amx-int8", 7, 0, EDX, 25, Saved::Amx},
    {"sha512", 7, 1, EAX, 0, Saved::Avx},
    {"sm3", 7, 1, EAX, 1, Saved::Avx},
    {"sm4", 7, 1, EAX, 2, Saved::Avx},
    {"raoint", 7, 1, EAX, 3},
    {"avxvnni", 7, 1, EAX, 4, Saved::Avx},
    {"avx512bf16", 7, 1, EAX, 5, Saved::Avx512},
    {"cmpccxadd", 7, 1, EAX, 7},
    {"amx-fp16", 7, 1, EAX, 21, Saved::Amx},
    {"hreset", 7, 1, EAX, 22},
    {"avxifma", 7, 1, EAX, 23, Saved::Avx},
    {"movrs", 7, 1, EAX, 31},
    {"avxvnniint8", 7, 1, EDX, 4, Saved::Avx},
    {"avxneconvert", 7, 1, EDX, 5, Saved::Avx},
    {"amx-complex", 7, 1, EDX, 8, Saved::Amx},
    {"avxvnniint16", 7, 1, EDX, 10, Saved::Avx},
    {"prefetchi", 7, 1, EDX, 14},
    {"usermsr", 7, 1, EDX, 15},
    {"xsaveopt", 0xd, 1, EAX, 0},
    {"xsavec", 0xd, 1, EAX, 1},
    {"xsaves", 0xd, 1, EAX, 3},
    {"ptwrite", 0x14, 0, EBX, 4},
    {"widekl", 0x19, 0, EBX, 2},
};

bool cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
  if (__get_cpuid_max(leaf & 0x80000000u, nullptr) < leaf)
    return false;
  if (leaf == 7 && subleaf > 0) {
    uint32_t top[4];
    __cpuid_count(7, 0, top[EAX], top[EBX], top[ECX], top[EDX]);
    if (top[EAX] < subleaf) // undefined subleaves may repeat others
      return false;
  }
  __cpuid_count(leaf, subleaf, regs[EAX], regs[EBX], regs[ECX], regs[EDX]);
  return true;
}

/// XCR0: the register sets that the operating system saves; 0 without XSAVE.
uint64_t savedRegisters() {
  uint32_t regs[4];
  constexpr uint32_t osxsave = 1u << 27;
  if (!cpuid(1, 0, regs) || !(regs[ECX] & osxsave))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

} // namespace

bool cpuSupports(std::string_view name) {
  for (const Feature &feature : features) {
    if (feature.name != name)
      continue;
    uint32_t regs[4];
    uint64_t needed = static_cast<uint32_t>(feature.saved);
    return cpuid(feature.leaf, feature.subleaf, regs) && (regs[feature.reg] >> feature.bit & 1) &&
           (savedRegisters() & needed) == needed;
  }
  // A name for "may use zmm registers", which AVX-512 machines had before AVX10.
  if (name == "evex512")
    return cpuSupports("avx512f");
  return false;
}

std::vector<std::string> missingCpuFeatures(const std::vector<std::string> &names) {
  std::vector<std::string> missing;
  for (std::string_view name : names) {
    if (name.starts_with('+'))
      name.remove_prefix(1);
    if (!cpuSupports(name))
      missing.emplace_back(name);
  }
  return missing;
}

std::string cpuBrand() {
  if (__get_cpuid_max(0x80000000u, nullptr) < 0x80000004u)
    return "x86-64";
  uint32_t words[3][4];
  for (uint32_t part = 0; part < 3; ++part)
    __cpuid(0x80000002u + part, words[part][EAX], words[part][EBX], words[part][ECX], words[part][EDX]);
  char text[sizeof(words) + 1] = {};
  std::memcpy(text, words, sizeof(words));
  std::string_view brand(text);
  while (brand.starts_with(' '))
    brand.remove_prefix(1);
  while (brand.ends_with(' '))
    brand.remove_suffix(1);
  return brand.empty() ? "x86-64" : std::string(brand);
}

} // namespace ftc
