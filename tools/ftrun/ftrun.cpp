//===- ftrun.cpp - Feeds a compiled step with data -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Files.h"
#include "ftc/Support/Wrap.h"
#include "ftc/Trainer/CompareLaunches.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

using namespace ftc;

namespace {

/// A whole number from `low` on, of 64 bits. (What the library reads into an unsigned number wraps around below 0.)
CLI::Validator wholeFrom(uint64_t low) {
  return CLI::Validator(
      [low](std::string &text) {
        uint64_t value = 0;
        const char *end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc() && rest == end && value >= low)
          return std::string();
        return "needs a whole number from " + std::to_string(low) + " on, not '" + text + "'";
      },
      "");
}

/// A number from 0 on, below `limit`.
CLI::Validator numberBelow(double limit, const char *wanted) {
  return CLI::Validator(
      [limit, wanted](std::string &text) {
        char *end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (!text.empty() && *end == 0 && value >= 0 && value < limit)
          return std::string();
        return std::string("needs a number ") + wanted + ", not '" + text + "'";
      },
      "");
}

/// Descriptions in lines that fit beside the names on a terminal of 80 columns.
class HelpFormatter : public CLI::Formatter {
public:
  HelpFormatter() { column_width(nameColumns); }
  std::string make_option_desc(const CLI::Option *option) const override {
    return wrapped(CLI::Formatter::make_option_desc(option), 80 - nameColumns);
  }
  std::string make_description(const CLI::App *app) const override {
    return wrapped(CLI::Formatter::make_description(app), 80);
  }

private:
  static constexpr size_t nameColumns = 28;
};

/// Messages about a file begin with its name, as compilers' do, and others with ours.
void complain(const std::string &message) {
  const bool hasPlace = message.find(": error: ") != std::string::npos;
  std::fprintf(stderr, "%s%s\n", hasPlace ? "" : "ftrun: error: ", message.c_str());
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  CLI::App app{"Trains a step that 'ftc compile' made: feeds it with data, writes metrics and checkpoints.", "ftrun"};
  app.set_version_flag("--version", runnerName());
  app.formatter(std::make_shared<HelpFormatter>());
  RunOptions options;
  std::string info;
  app.add_option("step", options.step, "The compiled step (step.so)")->required()->option_text(" ");
  app.add_option("overrides", options.overrides,
                 "key=value for keys of the recipe that belong to a run, e.g. optimizer.lr=1e-4")
      ->option_text("...");
  app.add_option(
         "--data", options.data,
         "Text file, directory, .jsonl, .json, .csv or token file (.bin). Given several times: all of them, or where "
         "the recipe's dataset is a list one for each of its nodes")
      ->option_text("PATH")
      ->allow_extra_args(false);
  app.add_option("--steps", options.steps,
                 "Number of the last update; default: the recipe's epochs. 0 with --sample: only ask the model, "
                 "without data")
      ->option_text("N")
      ->check(wholeFrom(0));
  app.add_option("--out", options.out, "Directory for metrics.jsonl and step_N; default: the recipe's output_dir")
      ->option_text("DIR");
  app.add_option("--far-dir", options.farDir,
                 "Folder for files without a name: the tokens of the data, and the far tier (offloading, paged "
                 "optimizers); default: the output directory")
      ->option_text("DIR");
  app.add_option("--seed", options.seed, "Seed of initialization, order of the data and random bits")
      ->option_text("N")
      ->check(wholeFrom(0));
  app.add_option("--threads", options.threads,
                 "Threads, at most as many as the step was compiled for (ftc compile --threads); default: so many, or "
                 "the processors of this machine where these are fewer")
      ->option_text("N")
      ->check(wholeFrom(1));
  CLI::Option *share =
      app.add_option("--held-out", options.heldOut,
                     "Share of the data that is kept for evaluation: of conversations whole ones, of a text its tail")
          ->option_text("FRACTION")
          ->check(numberBelow(1, "from 0 on, below 1"));
  app.add_option("--held-out-data", options.heldOutData, "What is evaluated instead: read as --data is")
      ->option_text("PATH")
      ->excludes(share);
  app.add_option("--column", options.column, "Key of the text in a .jsonl object")->option_text("KEY");
  CLI::Option *sample = app.add_option("--sample", options.sample, "Tokens of text to generate at the end")
                            ->option_text("TOKENS")
                            ->check(wholeFrom(0));
  CLI::Option *prompt =
      app.add_option("--prompt", options.prompt, "What the sample goes on from")->option_text("TEXT")->needs(sample);
  app.add_option("--ask", options.ask,
                 "What a user asks: the sample is the answer, in the wording of the recipe's conversations")
      ->option_text("TEXT")
      ->needs(sample)
      ->excludes(prompt);
  app.add_option("--temperature", options.temperature, "Of the sample; 0: always the likeliest token; default: 0.8")
      ->option_text("T")
      ->check(numberBelow(HUGE_VAL, "from 0 on"))
      ->needs(sample);
  app.add_flag_callback(
      "--no-checkpoint", [&] { options.lastCheckpoint = false; },
      "Write no checkpoint at the end: for measurements of steps that are not kept");
  app.add_flag("--tune", options.tune,
               "On a GPU: time the library's best few algorithms of each product, and attention by cuDNN and by our "
               "own kernels, and take the fastest; they are kept beside the step (STEP.algorithms.json) for later "
               "runs, and in checkpoints");
  app.add_flag("--prove-plan", options.provePlan,
               "Fill the memory with a pattern and tell the highest byte that was written");
  app.add_option("--against", options.against,
                 "Train nothing: run each launch of the step, and of this one for the host, on the same operands, and "
                 "compare what they write (both made by 'ftc compile --by-launch')")
      ->option_text("STEP.so");
  app.add_flag(
         "--info{short}", info,
         "Print what the step is, and stop: entries, memory and recipe; =tensors: each tensor with its place too; "
         "=decisions: what the compiler decided; =all: both")
      ->check(CLI::IsMember({"short", "tensors", "decisions", "all"}))
      ->option_text("[=WHAT]");
  app.footer("Examples:\n"
             "  ftrun step.so --data notes.jsonl --held-out 0.05 --out out\n"
             "  ftrun step.so --data notes.jsonl epochs=3 resume_from_checkpoint=True\n"
             "  ftrun step.so --steps 0 --sample 200 --ask \"Who are you?\" --out out \\\n"
             "        resume_from_checkpoint=True\n"
             "\n"
             "Exit codes: 0 done, 2 usage, 10 no file, 11 not a step, 12 other ABI, 13 CPU\n"
             "feature, 14 threads, 15 memory, 16 unsupported, 17 no GPU for the step, 20 empty\n"
             "data, 21 bad data, 22 bad checkpoint, 24 cannot write, 25 step failed, 26 loss\n"
             "not finite; 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM after a\n"
             "checkpoint.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  }
  try {
    if (const std::string recipe = options.step; recipe.ends_with(".yaml") || recipe.ends_with(".yml")) {
      complain(recipe + " is a recipe; compile it first: 'ftc compile " + recipe +
               " -o step.so', then 'ftrun step.so --data FILE'");
      return static_cast<int>(ExitCode::Usage);
    }
    if (!info.empty()) {
      std::string text = describeStep(options.step, {.tensors = info == "tensors" || info == "all",
                                                     .decisions = info == "decisions" || info == "all"});
      if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
        return 0;
      std::fprintf(stderr, "ftrun: error: cannot write to standard output: %s\n", std::strerror(errno));
      return static_cast<int>(ExitCode::WriteFailed);
    }
    return static_cast<int>(options.against.empty() ? runTraining(options) : compareLaunches(options));
  } catch (const RunError &error) {
    complain(error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "ftrun: error: out of memory; close other programs, or use fewer data\n");
    return static_cast<int>(ExitCode::NoMemory);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "ftrun: error: %s\n", error.what());
    return 1;
  }
}
