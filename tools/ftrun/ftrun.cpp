//===- ftrun.cpp - Feeds a compiled step with data -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Files.h"
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
  RunOptions options;
  bool info = false;
  app.add_option("step", options.step, "The compiled step (step.so)")->required();
  app.add_option("overrides", options.overrides,
                 "key=value for keys of the recipe that belong to a run, e.g. optimizer.lr=1e-4");
  app.add_option(
         "--data", options.data,
         "Text file, directory, .jsonl, .json, .csv or token file (.bin). Given several times: all of them, or where "
         "the recipe's dataset is a list one for each of its nodes")
      ->type_name("PATH")
      ->allow_extra_args(false);
  app.add_option("--steps", options.steps, "Number of the last update; default: the recipe's epochs")
      ->check(wholeFrom(0));
  app.add_option("--out", options.out, "Directory for metrics.jsonl and step_N; default: the recipe's output_dir")
      ->type_name("DIR");
  app.add_option("--far-dir", options.farDir,
                 "Folder for files without a name: the tokens of the data, and the far tier (offloading, paged "
                 "optimizers); default: the output directory")
      ->type_name("DIR");
  app.add_option("--seed", options.seed, "Seed of initialization, order of the data and random bits")
      ->check(wholeFrom(0));
  app.add_option("--threads", options.threads, "Threads; at most what scratch memory was planned for")
      ->check(wholeFrom(1));
  CLI::Option *share =
      app.add_option("--held-out", options.heldOut,
                     "Share of the data that is kept for evaluation: of conversations whole ones, of a text its tail")
          ->check(numberBelow(1, "from 0 on, below 1"));
  app.add_option("--held-out-data", options.heldOutData, "What is evaluated instead: read as --data is")
      ->type_name("PATH")
      ->excludes(share);
  app.add_option("--column", options.column, "Key of the text in a .jsonl object");
  CLI::Option *sample =
      app.add_option("--sample", options.sample, "Tokens of text to generate at the end")->check(wholeFrom(0));
  CLI::Option *prompt = app.add_option("--prompt", options.prompt, "What the sample goes on from")->needs(sample);
  app.add_option("--ask", options.ask,
                 "What a user asks: the sample is the answer, in the wording of the recipe's conversations")
      ->needs(sample)
      ->excludes(prompt);
  app.add_option("--temperature", options.temperature, "Of the sample; 0: always the likeliest token")
      ->check(numberBelow(HUGE_VAL, "from 0 on"))
      ->needs(sample);
  app.add_flag_callback(
      "--no-checkpoint", [&] { options.lastCheckpoint = false; },
      "Write no checkpoint at the end: for measurements of steps that are not kept");
  app.add_flag(
      "--tune", options.tune,
      "On a GPU: time the library's best few algorithms of each product, and attention by cuDNN and by our own\n"
      "kernels, and take the fastest; they are kept\n"
      "beside the step (STEP.algorithms.json) for later runs, and in checkpoints");
  app.add_flag("--prove-plan", options.provePlan,
               "Fill the memory with a pattern and tell the highest byte that was written");
  app.add_option("--against", options.against,
                 "Train nothing: run each launch of the step, and of this one for the host, on the same operands, and\n"
                 "compare what they write (both made by 'ftc compile --by-launch')")
      ->type_name("STEP.so");
  app.add_flag("--info", info, "Print what the step is, and stop");
  app.footer(
      "Exit codes: 0 done, 2 usage, 10 no file, 11 not a step, 12 other ABI, 13 CPU feature, 14 threads, 15 memory,\n"
      "16 unsupported, 17 no GPU for the step, 20 empty data, 21 bad data, 22 bad checkpoint, 24 cannot write,\n"
      "25 step failed, 26 loss not finite, 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM after a checkpoint.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  }
  try {
    if (info) {
      std::string text = describeStep(options.step);
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
