//===- EmulatedStreams.h - What is queued on a GPU's streams ----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Works of different streams run in any order that events allow. One order proves nothing: what is missing shows when a
// work runs as early, or as late, as it may. So a caller says which streams go first.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_EMULATEDSTREAMS_H
#define FTC_TEST_UNIT_TARGET_EMULATEDSTREAMS_H

#include "ftrt/step.h"

#include <array>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace ftc::test {

class EmulatedStreams {
public:
  using Order = std::array<uint32_t, FTRT_STREAM_COUNT>;

  void queue(uint32_t stream, std::function<void()> work);
  void record(uint32_t stream, uint32_t event);
  /// False for an event that was not recorded since the last run.
  bool wait(uint32_t stream, uint32_t event);

  /// Runs all works, each time the next one of the first stream of `order` that need not wait. Returns "", or what is
  /// wrong: works of another stream that the compute stream does not wait for in the end. Nothing is queued afterwards.
  std::string run(const Order &order);
  /// Forgets everything.
  void clear() { *this = {}; }

private:
  /// How many works of each stream are over.
  using Clock = std::array<size_t, FTRT_STREAM_COUNT>;
  struct Item {
    std::function<void()> work;
    Clock after; ///< what it waits for, of other streams
  };
  struct Event {
    bool recorded = false;
    Clock clock{};
  };

  std::array<std::deque<Item>, FTRT_STREAM_COUNT> items;
  /// What is over when the latest work of a stream is: itself, and all that it waited for.
  std::array<Clock, FTRT_STREAM_COUNT> latest{};
  std::vector<Event> events;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_EMULATEDSTREAMS_H
