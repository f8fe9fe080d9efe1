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
#include <iterator>
#include <span>
#include <string_view>
#include <sys/ioctl.h>
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
  line.text(",\"epoch\":");
  line.number(metrics.epoch);
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
  line.text(",\"seconds\":");
  line.number(metrics.seconds);
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

namespace {

/// Pieces of a line, the least important of which may be left out.
class Pieces {
public:
  /// `rank` 0 always stays; of the others the largest goes first.
  template <typename... Args> void add(int rank, fmt::format_string<Args...> pattern, Args &&...args) {
    if (count == std::size(pieces))
      return;
    Piece &piece = pieces[count++];
    piece.rank = rank;
    const auto result = fmt::format_to_n(piece.text, sizeof(piece.text), pattern, std::forward<Args>(args)...);
    piece.size = std::min(result.size, sizeof(piece.text));
  }

  size_t write(size_t width, char *to, size_t size) {
    while (width > 0 && length() > width && dropLeast()) {
    }
    size_t used = 0;
    for (const Piece &piece : std::span(pieces, count)) {
      if (piece.rank < 0)
        continue;
      const std::string_view gap = used ? "  " : "";
      if (used + gap.size() + piece.size > size)
        break;
      used += gap.copy(to + used, gap.size());
      used += std::string_view(piece.text, piece.size).copy(to + used, piece.size);
    }
    return width > 0 ? std::min(used, width) : used;
  }

private:
  struct Piece {
    int rank = 0; ///< below 0: left out
    size_t size = 0;
    char text[64];
  };

  size_t length() const {
    size_t sum = 0;
    for (const Piece &piece : std::span(pieces, count))
      sum += piece.rank < 0 ? 0 : piece.size + (sum ? 2 : 0);
    return sum;
  }

  bool dropLeast() {
    Piece *least =
        std::max_element(pieces, pieces + count, [](const Piece &a, const Piece &b) { return a.rank < b.rank; });
    if (least == pieces + count || least->rank <= 0)
      return false;
    least->rank = -1;
    return true;
  }

  Piece pieces[12];
  size_t count = 0;
};

/// Columns of the terminal; 80 where it does not say.
size_t terminalColumns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

} // namespace

size_t progressLine(const StepMetrics &metrics, uint64_t totalSteps, int64_t epochs, double secondsLeft, size_t width,
                    char *to, size_t size) {
  Pieces line;
  line.add(0, "step {}/{}", metrics.step, totalSteps);
  if (metrics.epoch > 0 && epochs > 0)
    line.add(4, "epoch {}/{}", metrics.epoch, epochs);
  else if (metrics.epoch > 0)
    line.add(4, "epoch {}", metrics.epoch);
  line.add(0, "loss {:.4f}", unsignedNan(metrics.loss));
  line.add(2, "lr {:.2e}", metrics.learningRate);
  if (metrics.gradNorm)
    line.add(5, "grad norm {:.3f}", unsignedNan(*metrics.gradNorm));
  if (metrics.pairs)
    line.add(6, "margin {:.4f}  accuracy {:.3f}", unsignedNan(metrics.pairs->margin), metrics.pairs->accuracy);
  if (metrics.parts)
    line.add(6, "class {:.4f}  kd {:.4f}", unsignedNan(metrics.parts->classLoss), unsignedNan(metrics.parts->kdLoss));
  line.add(3, "{:.0f} tokens/s", metrics.tokensPerSecond);
  if (metrics.shareOfPeak > 0)
    line.add(8, "{:.1f}% of peak", 100 * metrics.shareOfPeak);
  if (metrics.seconds > 0)
    line.add(7, "{:.{}f} s", metrics.seconds, metrics.seconds < 0.1 ? 3 : metrics.seconds < 10 ? 2 : 1);
  if (secondsLeft >= 0) {
    const auto left = static_cast<uint64_t>(std::min(secondsLeft + 0.5, 1e9));
    if (left >= 3600)
      line.add(1, "ETA {}:{:02}:{:02}", left / 3600, left / 60 % 60, left % 60);
    else
      line.add(1, "ETA {}:{:02}", left / 60, left % 60);
  }
  return line.write(width, to, size);
}

Progress::Progress(uint64_t totalSteps, uint64_t doneSteps, int64_t epochs)
    : totalSteps(totalSteps), doneSteps(doneSteps), epochs(epochs), terminal(isatty(STDOUT_FILENO)),
      start(std::chrono::steady_clock::now()) {}

void Progress::show(const StepMetrics &metrics) {
  Line line;
  if (terminal)
    line.text("\r\033[K");
  // Growth of a few pages is no news.
  if (metrics.residentBytes > shownResident + shownResident / 50) {
    shownResident = metrics.residentBytes;
    line.format("planned {}  taken {}  resident {}", formatBytes(metrics.plannedBytes), formatBytes(metrics.takenBytes),
                formatBytes(metrics.residentBytes));
    if (metrics.farBytes > 0)
      line.format("  far {}", formatBytes(metrics.farBytes));
    line.text("\n");
  }
  double left = -1;
  if (metrics.step > doneSteps && metrics.step < totalSteps) {
    const std::chrono::duration<double> gone = std::chrono::steady_clock::now() - start;
    left =
        gone.count() / static_cast<double>(metrics.step - doneSteps) * static_cast<double>(totalSteps - metrics.step);
  }
  char text[512];
  // The last column stays free: what fills it may break the line.
  const size_t width = terminal ? terminalColumns() - 1 : 0;
  line.text({text, progressLine(metrics, totalSteps, epochs, left, width, text, sizeof(text))});
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
