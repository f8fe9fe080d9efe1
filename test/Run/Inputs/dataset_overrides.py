"""Steps compiled for each data set, each run with each other data set's records: rows and labels must be those of the
step that was compiled for it.

    dataset_overrides.py FTC FTRUN RECIPE FOLDER
"""

import itertools
import json
import pathlib
import re
import subprocess
import sys

ftc, ftrun, recipe = sys.argv[1:4]
folder = pathlib.Path(sys.argv[4])
words = "one two three four five six seven"
chat = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": words}]
gpt = [{"from": "human", "value": "hello there"}, {"from": "gpt", "value": words}]
kinds = {  # overrides, and a record
    "text": (["dataset=torchtune.datasets.text_completion_dataset"], {"text": words + " eight"}),
    "chat": (["dataset=torchtune.datasets.chat_dataset"], {"messages": chat}),
    "gpt": (["dataset=torchtune.datasets.chat_dataset", "dataset.conversation_style=sharegpt"], {"messages": gpt}),
    "instruct": (["dataset=torchtune.datasets.instruct_dataset"], {"input": "hello there", "output": words}),
    "alpaca": (["dataset=torchtune.datasets.alpaca_dataset"], {"instruction": "count", "input": "", "output": words}),
}


def counts(kind, step, overrides):
    run = subprocess.run(
        [ftrun, folder / f"{step}.so", "--data", folder / f"{kind}.jsonl", "--out", folder / "out", "--steps", "0"]
        + ["--no-checkpoint", *overrides],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) rows of 512 tokens, (\d+) labels", run.stdout)
    if run.returncode or not found:
        sys.exit(f"{kind} with the step of {step}: {run.stdout}{run.stderr}")
    return found.groups()


for kind, (overrides, record) in kinds.items():
    (folder / f"{kind}.jsonl").write_text(3 * (json.dumps(record) + "\n"))
    sizes = ["tokenizer.max_seq_len=512", "batch_size=1", "model.num_layers=1"]
    command = [ftc, "compile", recipe, "-o", folder / f"{kind}.so", *sizes, *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
wanted = {kind: counts(kind, kind, []) for kind in kinds}
if len({labels for _, labels in wanted.values()}) < 3:
    sys.exit(f"the data sets should differ in what they train: {wanted}")
for kind, step in itertools.permutations(kinds, 2):
    if step == "gpt":  # a style that was given stays
        overrides = ["~dataset.conversation_style", *kinds[kind][0]]
    else:
        overrides = kinds[kind][0]
    got = counts(kind, step, overrides)
    if got != wanted[kind]:
        sys.exit(f"{kind} with the step of {step}: {got} rows and labels, not {wanted[kind]}")
print(wanted)
