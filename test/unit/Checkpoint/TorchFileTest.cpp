//===- TorchFileTest.cpp - What torch.save writes -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Files of PyTorch's own are in test/oracle/checkpoints/files, made by test/oracle/torch_files.py.
//
//===----------------------------------------------------------------------===//

#include "CheckpointFixture.h"
#include "TorchArchive.h"

#include "ftc/Checkpoint/TorchFile.h"
#include "ftc/Support/Random.h"

using namespace ftc;

namespace {

const std::string files = FTC_SOURCE_DIR "/test/oracle/checkpoints/files/";

class TorchFiles : public CheckpointFixture {
protected:
  std::unique_ptr<TorchFile> open(const std::string &path) {
    diags.clear();
    return TorchFile::open(path, diags);
  }
  std::unique_ptr<TorchFile> openBytes(std::string_view bytes) { return open(write("f.pt", bytes)); }
  std::vector<float> values(const TensorFile &file, std::string_view name) {
    const TensorFile::Entry *entry = file.find(name);
    std::vector<float> out(entry ? static_cast<size_t>(entry->spec.elements()) : 0);
    EXPECT_TRUE(entry && file.read(*entry, TensorType::F32, out.data(), diags)) << name << messages();
    return out;
  }
  static std::vector<float> counting(size_t count) {
    std::vector<float> result(count);
    for (size_t i = 0; i < count; ++i)
      result[i] = static_cast<float>(i);
    return result;
  }
  void refuse(const std::string &path, std::string_view message) {
    EXPECT_FALSE(open(path)) << path;
    EXPECT_TRUE(says(message)) << messages();
    EXPECT_TRUE(says(path)) << messages();
  }
  void refuseBytes(std::string_view bytes, std::string_view message) { refuse(write("f.pt", bytes), message); }
  void refusePickle(const std::string &pickle, std::string_view message) { refuseBytes(torchFileOf(pickle), message); }
};

TEST_F(TorchFiles, OfPyTorchsOwn) {
  auto module = open(files + "odd/module.pt");
  ASSERT_TRUE(module) << messages();
  EXPECT_EQ(module->find("weight")->spec.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(values(*module, "weight"), counting(6));
  EXPECT_EQ(values(*module, "bias"), counting(2));

  auto nested = open(files + "odd/nested.pt");
  ASSERT_TRUE(nested) << messages();
  EXPECT_EQ(nested->entries().size(), 1u);
  EXPECT_EQ(values(*nested, "w"), counting(4));
}

TEST_F(TorchFiles, Types) {
  auto file = open(files + "odd/types.pt");
  ASSERT_TRUE(file) << messages();
  EXPECT_EQ(file->entries().size(), 9u);
  for (const char *name : {"float16", "bfloat16", "float32"})
    EXPECT_EQ(values(*file, name), counting(5)) << name;
  const std::pair<const char *, TensorType> others[] = {{"float64", TensorType::F64}, {"int64", TensorType::I64},
                                                        {"int32", TensorType::I32},   {"int16", TensorType::I16},
                                                        {"int8", TensorType::I8},     {"uint8", TensorType::U8}};
  for (const auto &[name, type] : others)
    EXPECT_EQ(file->find(name)->spec.type, type);
  std::vector<int64_t> longs(5);
  ASSERT_TRUE(file->read(*file->find("int64"), TensorType::I64, longs.data(), diags)) << messages();
  EXPECT_EQ(longs, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  std::vector<float> floats(5);
  EXPECT_FALSE(file->read(*file->find("int64"), TensorType::F32, floats.data(), diags));
  EXPECT_TRUE(says("tensor 'int64': I64 cannot be read as F32")) << messages();
}

TEST_F(TorchFiles, Views) {
  auto file = open(files + "odd/views.pt");
  ASSERT_TRUE(file) << messages();
  for (const char *name : {"transposed", "permuted"})
    EXPECT_EQ(values(*file, name), counting(24)) << name;
  EXPECT_FALSE(file->find("transposed")->layout.empty());
  EXPECT_EQ(values(*file, "sliced"), counting(16));
  EXPECT_EQ(values(*file, "shared"), counting(8));
  EXPECT_EQ(values(*file, "parameter"), counting(6));
  EXPECT_EQ(values(*file, "expanded"), std::vector<float>(15));
  EXPECT_EQ(values(*file, "scalar"), counting(1));
  EXPECT_EQ(values(*file, "empty"), counting(0));

  // The same through a stream, and to a place that has no memory here.
  const TensorFile::Entry &entry = *file->find("transposed");
  std::vector<float> streamed, written(24);
  ASSERT_TRUE(file->stream(
      entry, TensorType::F32, [&](const float *v, int64_t n) { streamed.insert(streamed.end(), v, v + n); }, diags));
  EXPECT_EQ(streamed, counting(24));
  TensorView elsewhere{{"", TensorType::F32, {6, 4}}};
  elsewhere.write = [&](uint64_t offset, const void *from, uint64_t bytes) {
    std::memcpy(reinterpret_cast<char *>(written.data()) + offset, from, bytes);
  };
  ASSERT_TRUE(file->read(entry, elsewhere, diags));
  EXPECT_EQ(written, counting(24));
}

/// Slices whose rows are long enough to be read one by one.
TEST_F(TorchFiles, ViewsWithLongRows) {
  TensorPickle sliced{.shape = {5, 300}, .strides = {400, 1}, .first = 50, .elements = 2000};
  std::string storage(8000, '\0');
  for (int i = 0; i < 2000; ++i) {
    float value = static_cast<float>(i);
    std::memcpy(storage.data() + 4 * i, &value, 4);
  }
  auto file = openBytes(archiveOf({{"a/data.pkl", sliced.dictionary()}, {"a/data/0", storage}}));
  ASSERT_TRUE(file) << messages();
  const std::vector<float> read = values(*file, "w");
  for (size_t row = 0; row < 5; ++row)
    for (size_t column = 0; column < 300; ++column)
      ASSERT_EQ(read[row * 300 + column], static_cast<float>(50 + row * 400 + column));
}

TEST_F(TorchFiles, OfOtherKinds) {
  refuse(files + "odd/before-1.6.bin", "is in the format that PyTorch wrote before version 1.6");
  EXPECT_TRUE(says("torch.save(torch.load(f, map_location='cpu', weights_only=True), f)")) << messages();
  refuse(files + "odd/protocol-4.pt", "pickle protocol 4 is not that of torch.save");
  refuse(files + "odd/list.pt", "holds a list, not a dictionary of tensors");
  refuse(files + "odd/number.pt", "'epoch' is a number, not a tensor");
  refuse(files + "odd/object.pt", "it holds a Python object, 'argparse.Namespace'");
  refuse(root / "missing.pt", "cannot open");
  refuse(root, "not a regular file");
  refuseBytes("", "is empty");
  refuseBytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull");
  refuseBytes("GGUF and more", "is a GGUF file");
  refuseBytes("no archive", "is not what torch.save writes, or is truncated");
  refuse(file("f.pt", "{\"w\":{}}", 0), "is a safetensors file by its contents; name it f.safetensors");
  refuseBytes(archiveOf({{"a/readme", "x"}}), "is a zip archive without data.pkl");
  const std::string pickle = TensorPickle().dictionary();
  refuseBytes(archiveOf({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}}), "both 'a/data.pkl' and 'b/data.pkl'");
  refuseBytes(archiveOf({{"a/data.pkl", pickle + std::string(500, ' '), true}}), "'a/data.pkl' is compressed");
  refuseBytes(archiveOf({{"a/data.pkl", pickle}, {"a/data/0", std::string(24, '\0'), true}}),
              "tensor 'w': its data 'a/data/0' are compressed");
  refuseBytes(archiveOf({{"a/data.pkl", pickle}, {"a/byteorder", "big"}}), "another byte order");
  std::string whole = torchFileOf(pickle);
  ASSERT_TRUE(openBytes(whole)) << messages();
  for (size_t length : {size_t(30), whole.size() / 2, whole.size() - 1})
    refuseBytes(whole.substr(0, length), "truncated");
}

TEST_F(TorchFiles, PlacesOfTensors) {
  EXPECT_TRUE(openBytes(torchFileOf(TensorPickle().dictionary()))) << messages();
  EXPECT_TRUE(openBytes(torchFileOf(TensorPickle{.shape = {}, .strides = {}, .first = 5}.dictionary()))) << messages();
  auto wrong = [&](const TensorPickle &tensor, std::string_view message, size_t storageBytes = 24) {
    refuseBytes(torchFileOf(tensor.dictionary(), storageBytes), message);
  };
  wrong({.key = "1"}, "tensor 'w': its data 'archive/data/1' are not in the file");
  wrong({}, "should have 6 elements of F32, 'archive/data/0' has 23 bytes", 23);
  wrong({}, "should have 6 elements of F32, 'archive/data/0' has 0 bytes", 0);
  wrong({.elements = -1}, "should have -1 elements");
  wrong({.first = 1}, "its elements, from 1 on, are not within the 6");
  wrong({.first = -1}, "its elements, from -1 on, are not within");
  wrong({.first = int64_t(1) << 62}, "are not within");
  wrong({.shape = {2, 4}, .strides = {4, 1}}, "are not within the 6");
  wrong({.strides = {4, 1}}, "are not within the 6");
  wrong({.strides = {int64_t(1) << 62, 1}}, "are not within the 6");
  wrong({.shape = {5, 3}, .strides = {int64_t(1) << 62, 1}}, "its strides are too large");
  wrong({.shape = {int64_t(1) << 40, int64_t(1) << 40}, .strides = {0, 0}}, "is too large");
  wrong({.shape = {-2, 3}}, "hold something that is not a size");
  wrong({.strides = {-3, 1}}, "hold something that is not a size");
  wrong({.shape = {2}}, "it has 1 sizes and 2 strides");
  wrong({.shape = std::vector<int64_t>(65, 1), .strides = std::vector<int64_t>(65, 1)}, "it has 65 sizes");
  wrong({.storage = "ComplexFloatStorage"}, "it holds a Python object, 'torch.ComplexFloatStorage'");
  wrong({.storage = "bfloat16"}, "a storage of the class 'torch.bfloat16' is not known");
  // One value for many elements is no reason to take memory for all of them.
  auto expanded = openBytes(
      torchFileOf(TensorPickle{.shape = {int64_t(1) << 30, int64_t(1) << 28}, .strides = {0, 0}}.dictionary()));
  ASSERT_TRUE(expanded) << messages();
  EXPECT_EQ(expanded->find("w")->spec.elements(), int64_t(1) << 58);
}

TEST_F(TorchFiles, Dictionaries) {
  const std::string tensor = TensorPickle().tensor(), begin = "\x80\x02}(";
  refusePickle(begin + text("w") + tensor + text("w") + tensor + "u.", "tensor 'w' is in the file twice");
  refusePickle(begin + number(3) + tensor + "u.", "a tensor's name is a number");
  refusePickle(begin + text("weights") + "}u.",
               "holds no tensors at its top, nor in 'model' or 'state_dict' (it has 'weights')");
  refusePickle("\x80\x02}.", "holds no tensors at its top");
  auto file = openBytes(torchFileOf(begin + text("state_dict") + "}(" + text("w") + tensor + "uu."));
  EXPECT_TRUE(file && file->find("w")) << messages();
}

/// Programs that do something else than make a state dict: each is refused, none is run, none takes long.
TEST_F(TorchFiles, PicklesThatAreNoStateDicts) {
  const std::string begin = "\x80\x02";
  refusePickle("", "it does not begin as a pickle does");
  refusePickle("}.", "it does not begin as a pickle does");
  refusePickle(begin + global("os", "system") + text("true") + "\x85R.", "it holds a Python object, 'os.system'");
  refusePickle(begin + global("builtins", "eval") + ".", "'builtins.eval'");
  refusePickle(begin + "c" + std::string(1000, 'x') + "\ny\n.", "…'");
  refusePickle(begin + "cos\x01\nsystem\n.", "'os?.system'");
  refusePickle(begin + "cos", "a name does not end");
  refusePickle(begin + "X\xff\xff\xff\xff", "it ends in the middle");
  refusePickle(begin + "}", "it ends in the middle");
  refusePickle(begin + "((((", "it ends in the middle");
  refusePickle(begin + "(}.", "it ends with something else than one value");
  refusePickle(begin + "}}.", "it ends with something else than one value");
  refusePickle(begin + ".", "it ends with something else than one value");
  refusePickle(begin + "(\x85.", "the stack is empty");
  refusePickle(begin + "t.", "there is no mark on the stack");
  refusePickle(begin + "h\x07.", "value 7 was never kept");
  refusePickle(begin + "]" + text("a") + "K\x01s.", "something is added to a list");
  refusePickle(begin + "](" + text("a") + "u.", "something is added to a list");
  refusePickle(begin + "}(" + text("a") + "u.", "something is added to a dictionary");
  refusePickle(begin + "}K\x01"
                       "a.",
               "something is added to a dictionary");
  refusePickle(begin + "}}R.", "something is called that is no function");
  refusePickle(begin + global("torch._utils", "_rebuild_tensor_v2") + ")R.", "is called in another way");
  refusePickle(begin + global("torch._utils", "_rebuild_parameter") + "}\x85R.", "is called in another way");
  refusePickle(begin + global("collections", "OrderedDict") + "]\x85R.", "as Python 2 did");
  refusePickle(begin + "K\x01Q.", "no storage of a tensor");
  refusePickle(begin + "K\x01}b.", "a number is given attributes");
  refusePickle(begin + "\x8a\x09" + std::string(9, '\1') + ".", "more than 64 bits");
  refusePickle(begin + "\x81.", "opcode 0x81");
  refusePickle("\x80\x05}.", "pickle protocol 5");
  refusePickle("\x80\x02\x95" + little(1, 8) + "}.", "a newer pickle protocol");

  // Deep nesting, values that share each other ten times over, a list of itself, and more values than any model has.
  std::string deep = begin + ")";
  for (int i = 0; i < 1'000'000; ++i)
    deep += '\x85';
  refusePickle(deep + ".", "holds a tuple");
  std::string bomb = begin + ")q" + std::string(1, '\0');
  for (char level = 1; level < 100; ++level) {
    bomb += '(';
    for (int i = 0; i < 10; ++i)
      bomb += std::string("h") + static_cast<char>(level - 1);
    bomb += std::string("tq") + level;
  }
  refusePickle(bomb + "0.", "opcode 0x30");
  refusePickle(begin + "]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a.", "holds a list");
  refusePickle(begin + std::string(4'100'000, 'N') + ".", "it makes more than 4000000 values");
  refusePickle(begin + std::string(8'000'000, '(') + ".", "it ends with something else than one value");
}

/// Whatever bytes there are in place of others: an error or tensors within the file, and reading them ends well.
TEST_F(TorchFiles, MutationsNeverCrash) {
  const std::string seeds[] = {readAll(files + "odd/views.pt"), readAll(files + "odd/nested.pt"),
                               readAll(files + "odd/module.pt"), readAll(files + "meta/consolidated.00.pth")};
  uint64_t drawn = 0;
  auto draw = [&](uint64_t below) { return mix64(++drawn) % below; };
  size_t opened = 0, refused = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = seeds[draw(4)];
    // Most of the meaning is in the pickle, at the beginning, and in the directory, at the end.
    for (uint64_t edits = 1 + draw(4); edits; --edits) {
      const uint64_t near = draw(3), span = std::min<uint64_t>(bytes.size(), 1200);
      if (bytes.empty())
        break;
      const size_t at = near == 0 ? draw(bytes.size()) : near == 1 ? draw(span) : bytes.size() - 1 - draw(span);
      constexpr std::string_view interesting("\xff\x7f\x80\x00\x01(u}Rt.QcX]sqh\x85", 20);
      switch (draw(7)) {
      case 0:
        bytes[at] = static_cast<char>(draw(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << draw(8)));
        break;
      case 2:
        bytes[at] = interesting[draw(interesting.size())];
        break;
      case 3:
        for (size_t i = at; i < std::min(bytes.size(), at + 8); ++i)
          bytes[i] = '\xff';
        break;
      case 4:
        bytes.erase(at, 1 + draw(8));
        break;
      case 5:
        bytes.insert(at, bytes.substr(draw(bytes.size()), 1 + draw(32)));
        break;
      case 6:
        if (draw(8) == 0)
          bytes.resize(at);
        break;
      }
    }
    auto file = openBytes(bytes);
    if (!file) {
      ++refused;
      ASSERT_TRUE(says("error")) << round;
      continue;
    }
    ++opened;
    for (const auto &[name, entry] : file->entries()) {
      if (entry.spec.elements() > 100'000)
        continue;
      std::vector<char> out(static_cast<size_t>(entry.spec.bytes()));
      ASSERT_TRUE(file->read(entry, entry.spec.type, out.data(), diags)) << round << messages();
    }
  }
  EXPECT_GT(opened, 50u);
  EXPECT_GT(refused, 300u);
}

} // namespace
