//===- ManifestJson.cpp - A manifest for people to read ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Manifest.h"

#include "ftc/Schema/manifest_generated.h"

#include "llvm/Support/JSON.h"

using namespace ftc;

static void writeTensor(llvm::json::OStream &json, const manifest::TensorT &tensor) {
  json.object([&] {
    json.attribute("name", tensor.name);
    json.attribute("role", manifest::EnumNameRole(tensor.role));
    json.attribute("type", manifest::EnumNameElementType(tensor.type));
    json.attributeArray("shape", [&] {
      for (int64_t size : tensor.shape)
        json.value(size);
    });
    json.attribute("slab", tensor.slab);
    json.attribute("offset", tensor.offset);
    json.attribute("bytes", tensor.bytes);
    if (tensor.init != manifest::InitKind::None)
      json.attribute("init", manifest::EnumNameInitKind(tensor.init));
    if (tensor.init == manifest::InitKind::Normal || tensor.init == manifest::InitKind::Uniform)
      json.attribute("value", tensor.value);
    if (tensor.trainable)
      json.attribute("trainable", true);
    if (tensor.encoding != manifest::Encoding::None) {
      json.attribute("encoding", manifest::EnumNameEncoding(tensor.encoding));
      json.attribute("decoded_type", manifest::EnumNameElementType(tensor.decoded_type));
      json.attributeArray("decoded_shape", [&] {
        for (int64_t size : tensor.decoded_shape)
          json.value(size);
      });
    }
    if (!tensor.data.empty())
      json.attribute("data_bytes", static_cast<uint64_t>(tensor.data.size()));
  });
}

static void writeEntry(llvm::json::OStream &json, const manifest::EntryT &entry) {
  json.object([&] {
    json.attribute("kind", manifest::EnumNameEntryKind(entry.kind));
    json.attribute("batch", entry.batch);
    json.attribute("sequence", entry.sequence);
    json.attribute("flops", entry.flops);
    json.attribute("peak_bytes", entry.peak_bytes);
    json.attributeArray("inputs", [&] {
      for (const auto &tensor : entry.input_tensors)
        writeTensor(json, *tensor);
    });
    json.attributeArray("outputs", [&] {
      for (const auto &tensor : entry.output_tensors)
        writeTensor(json, *tensor);
    });
    if (entry.launch) {
      json.attribute("entry", entry.launch->entry);
      json.attribute("kernel", entry.launch->kernel);
      json.attribute("label", entry.launch->label);
      json.attributeArray("buffers", [&] {
        for (const manifest::LaunchBuffer &buffer : entry.launch->buffers)
          json.object([&] {
            json.attribute("slab", static_cast<int64_t>(buffer.slab()));
            json.attribute("offset", buffer.offset());
            json.attribute("bytes", buffer.bytes());
            json.attribute("type", manifest::EnumNameElementType(buffer.type()));
            if (buffer.working() || buffer.written())
              json.attribute("use", buffer.working() ? "working memory" : "written");
          });
      });
    }
  });
}

std::string ftc::manifestAsJson(llvm::StringRef bytes) {
  std::unique_ptr<manifest::ManifestT> in(manifest::GetManifest(bytes.data())->UnPack());
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream, /*IndentSize=*/2);
  json.object([&] {
    json.attribute("abi_version", in->abi_version);
    json.attribute("compiler", in->compiler);
    json.attribute("target", in->target);
    json.attribute("cpu", in->cpu);
    json.attributeArray("features", [&] {
      for (const std::string &feature : in->features)
        json.value(feature);
    });
    json.attribute("threads", in->threads);
    if (!in->device.empty()) {
      json.attribute("device", in->device);
      json.attribute("architecture", in->architecture);
      json.attribute("device_file", in->device_file);
      json.attribute("assembler", in->assembler);
    }
    if (in->pairs)
      json.attribute("pairs", true);
    json.attribute("recipe", in->recipe);
    json.attributeArray("slabs", [&] {
      for (const auto &slab : in->slabs)
        json.object([&] {
          json.attribute("name", slab->name);
          json.attribute("place", manifest::EnumNamePlace(slab->place));
          json.attribute("bytes", slab->bytes);
          json.attribute("alignment", slab->alignment);
        });
    });
    json.attributeArray("memory", [&] {
      for (const auto &row : in->memory)
        json.object([&] {
          json.attribute("what", row->what);
          json.attribute("bytes", row->bytes);
          if (row->far_bytes > 0)
            json.attribute("far_bytes", row->far_bytes);
        });
    });
    json.attribute("peak_at", in->peak_at);
    json.attributeArray("entries", [&] {
      for (const auto &entry : in->entries)
        writeEntry(json, *entry);
    });
    json.attributeArray("tensors", [&] {
      for (const auto &tensor : in->tensors)
        writeTensor(json, *tensor);
    });
    if (!in->kernels.empty())
      json.attributeArray("kernels", [&] {
        for (const auto &kernel : in->kernels)
          json.object([&] {
            json.attribute("name", kernel->name);
            json.attribute("read_bytes", kernel->read_bytes);
            json.attribute("written_bytes", kernel->written_bytes);
          });
      });
    json.attributeArray("remarks", [&] {
      for (const auto &remark : in->remarks)
        json.object([&] {
          json.attribute("pass", remark->pass);
          json.attribute("where", remark->where);
          json.attribute("message", remark->message);
          json.attribute("bytes", remark->bytes);
        });
    });
  });
  stream << "\n";
  return text;
}
