//===- Processors.cpp - How many processors there are for us -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Processors.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <string>
#include <unistd.h>

namespace ftc {

static std::string contents(const std::string &path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

unsigned processorsOfQuota(std::string_view text) {
  uint64_t quota = 0, period = 0;
  const char *end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, quota);
  if (error != std::errc() || rest == end || *rest != ' ')
    return 0;
  if (std::from_chars(rest + 1, end, period).ec != std::errc() || period == 0 || quota == 0)
    return 0;
  return static_cast<unsigned>(std::min<uint64_t>((quota - 1) / period + 1, 1 << 16));
}

/// The smallest limit of the control group that this process is in, and of those around it; 0: none.
static unsigned processorsOfGroups() {
  const std::string groups = contents("/proc/self/cgroup"); // "0::/a/b" in version 2
  const size_t at = groups.find("0::/");
  if (at == std::string::npos)
    return 0;
  std::string path = groups.substr(at + 3, groups.find('\n', at) - at - 3);
  unsigned smallest = 0;
  while (true) {
    // The limit of a container's own group is at the root of what it sees.
    const unsigned here = processorsOfQuota(contents("/sys/fs/cgroup" + path + "/cpu.max"));
    if (here && (!smallest || here < smallest))
      smallest = here;
    if (path.empty())
      return smallest;
    path.erase(path.rfind('/'));
  }
}

unsigned availableProcessors() {
  unsigned count = 0;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    count = static_cast<unsigned>(CPU_COUNT(&set));
  else if (const long online = sysconf(_SC_NPROCESSORS_ONLN); online > 0)
    count = static_cast<unsigned>(online);
  if (const unsigned allowed = processorsOfGroups())
    count = std::min(count, allowed);
  return std::max(count, 1u);
}

} // namespace ftc
