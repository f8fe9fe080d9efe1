//===- Libraries.cpp - NVIDIA's libraries, opened at run time --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libraries.h"

#include "ftc/Runtime/RunError.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sstream>
#include <vector>

namespace fs = std::filesystem;

namespace ftc::cuda {
namespace {

std::vector<std::string> namedFolders() {
  std::vector<std::string> folders;
  const char *list = std::getenv("FTRT_CUDA_LIBS");
  std::istringstream text(list ? list : "");
  for (std::string folder; std::getline(text, folder, ':');)
    if (!folder.empty())
      folders.push_back(folder);
  return folders;
}

std::vector<std::string> toolkitFolders() {
  return {"/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib"};
}

/// NVIDIA's packages of python3 (nvidia-cublas and others) put their libraries into nvidia/<package>/lib.
std::vector<std::string> pythonFolders() {
  std::vector<std::string> folders;
  FILE *python = popen("python3 -c 'import sys; print(chr(10).join(sys.path))' 2>/dev/null </dev/null", "r");
  if (!python)
    return folders;
  std::string text;
  char block[4096];
  for (size_t got; (got = fread(block, 1, sizeof(block), python)) > 0;)
    text.append(block, got);
  pclose(python);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::error_code ignored;
    if (line.empty())
      continue;
    std::vector<std::string> here;
    for (fs::directory_iterator it(fs::path(line) / "nvidia", ignored), end; !ignored && it != end;
         it.increment(ignored))
      if (std::error_code no; fs::is_directory(it->path() / "lib", no))
        here.push_back(it->path() / "lib");
    std::sort(here.begin(), here.end());
    folders.insert(folders.end(), here.begin(), here.end());
  }
  return folders;
}

/// What dlopen said of files that are there and cannot be opened: that is not the same as missing.
struct Search {
  std::vector<std::string> places, failures;

  void *in(const std::vector<std::string> &folders, const std::vector<const char *> &names) {
    for (const std::string &folder : folders) {
      places.push_back(folder);
      for (const char *name : names) {
        const std::string path = folder + "/" + name;
        std::error_code ignored;
        if (!fs::exists(path, ignored))
          continue;
        if (void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
          return library;
        failures.push_back(dlerror());
      }
    }
    return nullptr;
  }

  void *onLoadersPath(const std::vector<const char *> &names) {
    places.push_back("the loader's path");
    for (const char *name : names)
      if (void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL))
        return library;
    return nullptr;
  }

  void *everywhere(const std::vector<const char *> &names) {
    void *library = in(namedFolders(), names);
    if (!library)
      library = onLoadersPath(names);
    if (!library)
      library = in(toolkitFolders(), names);
    if (!library) {
      const std::vector<std::string> folders = pythonFolders();
      if (folders.empty())
        places.push_back("python3's nvidia/*/lib (none there)");
      library = in(folders, names);
    }
    return library;
  }

  std::string text() const {
    std::string told = fmt::format("looked for in {}", fmt::join(places, ", "));
    if (!failures.empty())
      told += fmt::format(" (found, but: {})", fmt::join(failures, "; "));
    return told;
  }
};

std::string fileOf(void *symbol) {
  Dl_info info;
  return dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : "?";
}

/// Looks `symbol` up, or refuses the library.
template <typename F> void resolve(void *library, const char *symbol, F &function, const char *what) {
  function = reinterpret_cast<F>(dlsym(library, symbol));
  if (!function)
    throw RunError(ExitCode::NoDevice, fmt::format("the {} of this machine has no function {}: it is too old; CUDA 12 "
                                                   "or newer is needed",
                                                   what, symbol));
}

} // namespace

std::string errorText(const DriverFunctions &driver, Result result) {
  const char *name = nullptr, *text = nullptr;
  if (driver.getErrorName(result, &name) != Success || !name)
    return fmt::format("error {}", result);
  if (driver.getErrorString(result, &text) != Success || !text)
    return name;
  return fmt::format("{} ({})", name, text);
}

const DriverFunctions &openDriver() {
  static const DriverFunctions functions = [] {
    Search search;
    void *library = search.in(namedFolders(), {"libcuda.so.1"});
    if (!library)
      library = search.onLoadersPath({"libcuda.so.1"});
    if (!library)
      throw RunError(ExitCode::NoDevice,
                     fmt::format("the step runs on an NVIDIA GPU, and there is no driver here: libcuda.so.1 was {}; "
                                 "install NVIDIA's driver, or recompile without '--target cuda'",
                                 search.text()));
    DriverFunctions found;
#define FTC_CUDA_RESOLVE(member, symbol, parameters) resolve(library, #symbol, found.member, "NVIDIA driver");
    FTC_CUDA_DRIVER_FUNCTIONS(FTC_CUDA_RESOLVE)
#undef FTC_CUDA_RESOLVE
    found.funcLoad = reinterpret_cast<decltype(found.funcLoad)>(dlsym(library, "cuFuncLoad"));
    return found;
  }();
  return functions;
}

const Lt &openLt() {
  static const Lt lt = [] {
    // Products of fp32 stay products of fp32, whatever the environment asks of NVIDIA's libraries.
    setenv("NVIDIA_TF32_OVERRIDE", "0", 1);
    setenv("CUBLAS_EMULATE_SINGLE_PRECISION", "0", 1);
    const std::vector<const char *> names = {"libcublasLt.so.13", "libcublasLt.so.12"};
    Search search;
    void *library = search.everywhere(names);
    if (!library)
      throw RunError(ExitCode::NoDevice,
                     fmt::format("the step multiplies matrices with cuBLASLt, and {} was not found: {}; install CUDA's "
                                 "cuBLAS 12 or 13 ('pip install nvidia-cublas' is enough), or name its folder in "
                                 "FTRT_CUDA_LIBS",
                                 names.front(), search.text()));
    Lt found;
#define FTC_CUBLASLT_RESOLVE(member, symbol, parameters) resolve(library, #symbol, found.functions.member, "cuBLASLt");
    FTC_CUBLASLT_FUNCTIONS(FTC_CUBLASLT_RESOLVE)
#undef FTC_CUBLASLT_RESOLVE
    resolve(library, "cublasLtGetStatusName", found.functions.getStatusName, "cuBLASLt");
    resolve(library, "cublasLtGetVersion", found.functions.getVersion, "cuBLASLt");
    found.path = fileOf(reinterpret_cast<void *>(found.functions.create));
    return found;
  }();
  return lt;
}

const Dnn *openDnn(std::string &missing) {
  struct Opened {
    Dnn dnn;
    std::string missing;
  };
  static const Opened opened = [] {
    Opened result;
    Search search;
    void *library = search.everywhere({"libcudnn.so.9"});
    if (!library) {
      result.missing = fmt::format("libcudnn.so.9 was {}", search.text());
      return result;
    }
    const auto find = [&](const char *symbol, auto &function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
      if (!function)
        result.missing = fmt::format("the cuDNN of this machine has no function {}", symbol);
    };
#define FTC_CUDNN_RESOLVE(member, symbol, parameters) find(#symbol, result.dnn.functions.member);
    FTC_CUDNN_FUNCTIONS(FTC_CUDNN_RESOLVE)
#undef FTC_CUDNN_RESOLVE
    find("cudnnGetVersion", result.dnn.functions.getVersion);
    find("cudnnGetErrorString", result.dnn.functions.getErrorString);
    result.dnn.functions.getLastError =
        reinterpret_cast<void (*)(char *, size_t)>(dlsym(library, "cudnnGetLastErrorString"));
    result.dnn.path = fileOf(reinterpret_cast<void *>(result.dnn.functions.create));
    return result;
  }();
  missing = opened.missing;
  return missing.empty() ? &opened.dnn : nullptr;
}

} // namespace ftc::cuda
