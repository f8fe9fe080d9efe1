//===- Algorithms.cpp - Which algorithms multiply, from run to run --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Algorithms.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ftc {

using Json = nlohmann::ordered_json;
using Product = ProductAlgorithms::Product;
using Attention = ProductAlgorithms::Attention;

std::string algorithmsBeside(const std::string &step) { return step + "." + algorithmsName; }

std::string algorithmsText(const ProductAlgorithms &algorithms) {
  Json list = Json::array();
  for (const Product &product : algorithms.products) {
    Json row;
    row["product"] = product.what;
    std::string words;
    for (uint64_t word : product.words)
      words += fmt::format("{}{:016x}", words.empty() ? "" : " ", word);
    row["algorithm"] = words;
    if (product.seconds > 0) {
      // To a nanosecond, so that a file that is read and written again stays as it is.
      row["microseconds"] = std::round(product.seconds * 1e9) / 1e3;
      row["first_microseconds"] = std::round(product.firstSeconds * 1e9) / 1e3;
    }
    list.push_back(std::move(row));
  }
  Json file;
  file["library"] = algorithms.library;
  file["device"] = algorithms.device;
  file["products"] = std::move(list);
  if (!algorithms.attentions.empty()) {
    file["attention_library"] = algorithms.attentionLibrary;
    file["attentions"] = Json::array();
    for (const Attention &attention : algorithms.attentions)
      file["attentions"].push_back({{"attention", attention.what}, {"plans", attention.plans}});
  }
  return file.dump(1) + "\n";
}

static bool readWords(const std::string &text, std::array<uint64_t, 8> &words) {
  if (text.size() != words.size() * 17 - 1)
    return false;
  for (size_t index = 0; index < words.size(); ++index) {
    const char *start = text.data() + 17 * index;
    const auto [end, error] = std::from_chars(start, start + 16, words[index], 16);
    if (error != std::errc() || end != start + 16 || (index + 1 < words.size() && *end != ' '))
      return false;
  }
  return true;
}

static bool readProduct(const Json &row, Product &product) {
  const auto text = [&](const char *key, std::string &to) {
    const bool good = row.is_object() && row.contains(key) && row[key].is_string();
    if (good)
      to = row[key].get<std::string>();
    return good;
  };
  const auto seconds = [&](const char *key) {
    return row.contains(key) && row[key].is_number() ? row[key].get<double>() * 1e-6 : 0.0;
  };
  std::string words;
  if (!text("product", product.what) || !text("algorithm", words) || !readWords(words, product.words))
    return false;
  product.seconds = seconds("microseconds");
  product.firstSeconds = seconds("first_microseconds");
  return true;
}

/// Files of steps without attention, and of earlier versions, have none.
static bool readAttentions(const Json &file, ProductAlgorithms &to) {
  if (!file.contains("attentions"))
    return true;
  if (!file["attentions"].is_array() || !file.contains("attention_library") || !file["attention_library"].is_string())
    return false;
  to.attentionLibrary = file["attention_library"].get<std::string>();
  for (const Json &row : file["attentions"]) {
    if (!row.is_object() || !row.contains("attention") || !row["attention"].is_string() || !row.contains("plans") ||
        !row["plans"].is_array())
      return false;
    Attention &attention = to.attentions.emplace_back(Attention{row["attention"].get<std::string>(), {}});
    for (const Json &plan : row["plans"]) {
      if (!plan.is_string())
        return false;
      attention.plans.push_back(plan.get<std::string>());
    }
  }
  return true;
}

std::optional<ProductAlgorithms> readAlgorithms(const std::string &path, std::string &problem) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return std::nullopt;
  std::string text;
  if (!readFile(path, text, problem))
    return std::nullopt;
  const auto damaged = [&](const std::string &why) {
    problem = path + ": " + why;
    return std::nullopt;
  };
  const Json file = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!file.is_object() || !file.contains("library") || !file["library"].is_string() || !file.contains("device") ||
      !file["device"].is_string() || !file.contains("products") || !file["products"].is_array())
    return damaged("it is no file of algorithms");
  ProductAlgorithms found;
  found.library = file["library"].get<std::string>();
  found.device = file["device"].get<std::string>();
  for (const Json &row : file["products"]) {
    Product product;
    if (!readProduct(row, product))
      return damaged(fmt::format("product {} is damaged", found.products.size()));
    found.products.push_back(std::move(product));
  }
  if (!readAttentions(file, found))
    return damaged("its attentions are damaged");
  return found;
}

bool sameAlgorithms(const ProductAlgorithms &x, const ProductAlgorithms &y) {
  return x.library == y.library && x.device == y.device && x.attentionLibrary == y.attentionLibrary &&
         std::equal(x.attentions.begin(), x.attentions.end(), y.attentions.begin(), y.attentions.end(),
                    [](const Attention &p, const Attention &q) { return p.what == q.what && p.plans == q.plans; }) &&
         std::equal(x.products.begin(), x.products.end(), y.products.begin(), y.products.end(),
                    [](const Product &p, const Product &q) { return p.what == q.what && p.words == q.words; });
}

} // namespace ftc
