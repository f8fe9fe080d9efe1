//===- Metrics.cpp - metrics.jsonl and the progress line -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Metrics.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Units.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <unistd.h>

namespace ftc {
namespace {

/// A line in a fixed buffer.
class Line {
public:
  void text(std::string_view piece) {
    size_t room = std::min(piece.size(), sizeof(buffer) - used);
    std::memcpy(buffer + used, piece.data(), room);
    used += room;
  }
  template <typename T> void number(T value) {
    if constexpr (std::is_floating_point_v<T>)
      if (!std::isfinite(value))
        return text("null");
    auto [end, error] = std::to_chars(buffer + used, buffer + sizeof(buffer), value);
    if (error == std::errc())
      used = static_cast<size_t>(end - buffer);
  }
  template <typename... Args> void format(fmt::format_string<Args...> pattern, Args &&...args) {
    auto result = fmt::format_to_n(buffer + used, sizeof(buffer) - used, pattern, std::forward<Args>(args)...);
    used += std::min(result.size, sizeof(buffer) - used);
  }
  const char *data() const { return buffer; }
  size_t size() const { return used; }

private:
  char buffer[1024];
  size_t used = 0;
};

/// Whatever its sign bit says: "nan", not "-nan".
double unsignedNan(double value) { return std::isnan(value) ? NAN : value; }

[[noreturn]] void failToWrite(const std::string &path) {
  throw RunError(ExitCode::WriteFailed, fmt::format("{}: cannot write: {}; free some space, or choose another --out",
                                                    path, std::strerror(errno)));
}

/// Of a line of an evaluation; torchtune's name.
constexpr std::string_view valLossKey = ",\"val_loss\":";

/// The number behind `"step":` at the start of a line that MetricsLog wrote; 0 for anything else.
uint64_t stepOfLine(std::string_view line) {
  constexpr std::string_view start = "{\"step\":";
  uint64_t step = 0;
  if (line.starts_with(start))
    std::from_chars(line.data() + start.size(), line.data() + line.size(), step);
  return step;
}

} // namespace

bool writeAll(int file, const char *text, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(file, text, size);
    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote <= 0)
      return false;
    text += wrote;
    size -= static_cast<size_t>(wrote);
  }
  return true;
}

MetricsLog::MetricsLog(const std::string &path, uint64_t lastStep) : path(path) {
  file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (lastStep == 0 ? O_TRUNC : 0), 0666);
  if (file < 0)
    failToWrite(path);
  // Find the end of the last line to keep. Lines are short; a longer one is not ours and ends what is kept.
  off_t keep = 0;
  char buffer[4096];
  while (true) {
    ssize_t got = pread(file, buffer, sizeof(buffer), keep);
    if (got <= 0)
      break;
    std::string_view text(buffer, static_cast<size_t>(got));
    size_t end = text.find('\n');
    uint64_t step = end == std::string_view::npos ? 0 : stepOfLine(text.substr(0, end));
    if (step == 0 || step > lastStep)
      break;
    evaluated = text.substr(0, end).find(valLossKey) != std::string_view::npos;
    keep += static_cast<off_t>(end + 1);
  }
  if (ftruncate(file, keep) != 0 || lseek(file, keep, SEEK_SET) != keep) {
    int error = errno;
    close(file);
    errno = error;
    failToWrite(path);
  }
}

MetricsLog::~MetricsLog() { close(file); }

void MetricsLog::add(const StepMetrics &metrics) {
  Line line;
  line.text("{\"step\":");
  line.number(metrics.step);
  line.text(",\"loss\":");
  line.number(metrics.loss);
  line.text(",\"lr\":");
  line.number(metrics.learningRate);
  line.text(",\"grad_norm\":");
  line.number(metrics.gradNorm.value_or(NAN));
  line.text(",\"tokens\":");
  line.number(metrics.tokens);
  line.text(",\"padded_tokens\":");
  line.number(metrics.paddedTokens);
  line.text(",\"tokens_per_second\":");
  line.number(metrics.tokensPerSecond);
  line.text(",\"planned_bytes\":");
  line.number(metrics.plannedBytes);
  line.text(",\"peak_bytes\":");
  line.number(metrics.takenBytes);
  line.text(",\"far_bytes\":");
  line.number(metrics.farBytes);
  line.text(",\"resident_bytes\":");
  line.number(metrics.residentBytes);
  line.text(",\"share_of_peak\":");
  line.number(metrics.shareOfPeak > 0 ? metrics.shareOfPeak : NAN);
  line.text(",\"skipped_batches\":");
  line.number(metrics.skipped);
  if (const auto &pairs = metrics.pairs)
    for (const auto &[name, value] :
         {std::pair(",\"rewards/chosen\":", pairs->chosenReward),
          std::pair(",\"rewards/rejected\":", pairs->rejectedReward),
          std::pair(",\"rewards/accuracies\":", pairs->accuracy), std::pair(",\"rewards/margins\":", pairs->margin),
          std::pair(",\"log_probs/chosen\":", pairs->chosenLogProb),
          std::pair(",\"log_probs/rejected\":", pairs->rejectedLogProb)}) {
      line.text(name);
      line.number(value);
    }
  if (metrics.parts) {
    line.text(",\"class_loss\":");
    line.number(metrics.parts->classLoss);
    line.text(",\"kd_loss\":");
    line.number(metrics.parts->kdLoss);
  }
  line.text("}\n");
  write(line.data(), line.size());
  evaluated = false;
}

void MetricsLog::add(const HeldOutLoss &metrics) {
  Line line;
  line.text("{\"step\":");
  line.number(metrics.step);
  line.text(valLossKey);
  line.number(metrics.loss);
  if (metrics.pairs) {
    line.text(",\"val_rewards/accuracies\":");
    line.number(metrics.pairs->accuracy);
    line.text(",\"val_rewards/margins\":");
    line.number(metrics.pairs->margin);
  }
  if (metrics.parts) {
    line.text(",\"val_class_loss\":");
    line.number(metrics.parts->classLoss);
    line.text(",\"val_kd_loss\":");
    line.number(metrics.parts->kdLoss);
  }
  line.text("}\n");
  write(line.data(), line.size());
  evaluated = true;
}

void MetricsLog::write(const char *text, size_t size) {
  const off_t before = lseek(file, 0, SEEK_CUR);
  if (writeAll(file, text, size))
    return;
  // A full disk takes a part of a line: the file ends with the last whole one.
  const int error = errno;
  if (before >= 0 && ftruncate(file, before) == 0)
    lseek(file, before, SEEK_SET);
  errno = error;
  failToWrite(path);
}

void MetricsLog::sync() {
  if (fsync(file) != 0)
    failToWrite(path);
}

Progress::Progress(uint64_t totalSteps) : totalSteps(totalSteps), terminal(isatty(STDOUT_FILENO)) {}

void Progress::show(const StepMetrics &metrics) {
  Line line;
  if (terminal)
    line.text("\r\033[K");
  line.format("step {}/{}  loss {:.4f}  lr {:.3g}", metrics.step, totalSteps, unsignedNan(metrics.loss),
              metrics.learningRate);
  if (metrics.gradNorm)
    line.format("  grad norm {:.3f}", unsignedNan(*metrics.gradNorm));
  if (metrics.pairs)
    line.format("  margin {:.4f}  accuracy {:.3f}", unsignedNan(metrics.pairs->margin), metrics.pairs->accuracy);
  if (metrics.parts)
    line.format("  class {:.4f}  kd {:.4f}", unsignedNan(metrics.parts->classLoss), unsignedNan(metrics.parts->kdLoss));
  line.format("  {:.0f} tokens/s", metrics.tokensPerSecond);
  if (metrics.shareOfPeak > 0)
    line.format("  {:.1f}% of peak", 100 * metrics.shareOfPeak);
  line.format("  planned {}  taken {}  resident {}", formatBytes(metrics.plannedBytes), formatBytes(metrics.takenBytes),
              formatBytes(metrics.residentBytes));
  if (metrics.farBytes > 0)
    line.format("  far {}", formatBytes(metrics.farBytes));
  if (!terminal)
    line.text("\n");
  open = terminal;
  writeAll(STDOUT_FILENO, line.data(), line.size());
}

void Progress::show(const HeldOutLoss &metrics) {
  finish();
  Line line;
  line.format("step {}/{}  held-out loss {:.4f}", metrics.step, totalSteps, unsignedNan(metrics.loss));
  if (metrics.pairs)
    line.format("  margin {:.4f}  accuracy {:.3f}", unsignedNan(metrics.pairs->margin), metrics.pairs->accuracy);
  if (metrics.parts)
    line.format("  class {:.4f}  kd {:.4f}", unsignedNan(metrics.parts->classLoss), unsignedNan(metrics.parts->kdLoss));
  line.text("\n");
  writeAll(STDOUT_FILENO, line.data(), line.size());
}

void Progress::tell(const char *text) {
  finish();
  Line line;
  line.text(text);
  line.text("\n");
  writeAll(STDOUT_FILENO, line.data(), line.size());
}

void Progress::finish() {
  if (open)
    writeAll(STDOUT_FILENO, "\n", 1);
  open = false;
}

} // namespace ftc
