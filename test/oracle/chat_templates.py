# Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Chat templates in the manner of those that models come with, written for the tests; and words of Jinja one by one."""

TEMPLATES = {}

# Llama 3.1's manner: a namespace-free loop, tools, a date, a system header that is always there.
TEMPLATES["llama3"] = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system prompt has its header here, whether there is one or not. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

# Qwen2.5's: a system prompt of its own, tools, answers of tools together in a user's turn.
TEMPLATES["qwen2.5"] = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful model.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful model.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# Qwen3's: thoughts of earlier answers are left out, the last answer has some, be they empty.
TEMPLATES["qwen3"] = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

# Mistral's: the system prompt stands inside of the last question, roles must alternate.
TEMPLATES["mistral"] = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""

# Gemma's, on one line, without system prompts, with another name for the assistant.
TEMPLATES["gemma"] = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}")

# Gemma 3's: contents in parts, a prefix for the first question.
TEMPLATES["gemma3"] = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
"""

TEMPLATES["phi3"] = ("{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}")

TEMPLATES["smollm"] = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a small model<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

# Llama 2's, with the system prompt put into a question by a change of the loop's list.
TEMPLATES["llama2"] = ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}")

# Macros and blocks, as longer templates have them.
TEMPLATES["macros"] = """{%- macro render(content, upper=false) -%}
    {%- if content is string -%}
        {{- content | upper if upper else content -}}
    {%- elif content is iterable and content is not mapping -%}
        {%- for part in content -%}
            {{- part.text if part.text is defined else part -}}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- macro turn(role) -%}
<{{ role }}>{{ caller() }}</{{ role }}>
{%- endmacro -%}
{%- for message in messages %}
{% set words %}{{ render(message.content, upper=message.role == 'system') }}{% endset %}
{% call turn(message.role) %}
{{ words | trim }}
{%- endcall %}
{% endfor %}
{% filter trim | upper %}  the end {% endfilter %}
{% if add_generation_prompt %}<assistant>{% endif %}
"""

# What trim_blocks and lstrip_blocks take away.
TEMPLATES["blocks"] = """
  {% for message in messages %}
    {# a comment #}
  {{ message.role }}:
    {% if loop.first +%}
  first
    {%+ endif %}
  {{- message.content -}}
  {% generation %}
  marked
  {% endgeneration %}
  {% raw %}
  {{ raw }} {% if %}
  {% endraw %}
  {%- if loop.last -%}   end   {% endif %}
{% endfor %}

{% if add_generation_prompt %}
assistant:
{% endif %}

"""

# A loop over numbers, whose text says nothing of messages.
TEMPLATES["numbers"] = ("{% for i in range(messages|length) %}{{ '<' ~ messages[i].role ~ '>' ~ messages[i].content ~ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}")

# Text that is gathered and written once.
TEMPLATES["gathered"] = """{% set ns = namespace(text='') %}
{% for message in messages %}
{% set ns.text = ns.text ~ '### ' ~ (message.role | capitalize) ~ ':\\n' ~ message.content ~ '\\n\\n' %}
{% if message.role == 'assistant' %}{% set ns.text = ns.text.rstrip('\\n') ~ eos_token ~ '\\n' %}{% endif %}
{% endfor %}
{{ ns.text }}{% if add_generation_prompt %}### Assistant:
{% endif %}
"""

CHATS = [
    [("user", "Hi there"), ("assistant", "Hello! How can I help?")],
    [("system", "  Be brief.\n"), ("user", " What is 2+2? "), ("assistant", "4"), ("user", "And 3+3?\n\n"), ("assistant", " 6 ")],
    [("user", "日本の首都は?"), ("assistant", "東京です。\n"), ("user", "<|eot_id|> ok {{ x }}"), ("assistant", "{% if %}")],
    [("user", "2+2?"), ("assistant", "<think>\nEasy.\n</think>\n\n4"), ("user", "3+3?"), ("assistant", "<think>\nHm.\n</think>\n\n6")],
    [("user", "Look both up."), ("assistant", "a, b"), ("tool", "{\"a\": 1}"), ("tool", " 2 "), ("assistant", "1 and 2")],
    [("user", "a"), ("user", "b"), ("assistant", "c")],
    [("user", "only a question")],
]
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks \"it\" up — fast\n", "parameters": {
    "type": "object", "properties": {"what": {"type": "string"}, "n": {"type": "integer", "default": 3, "x": 1.5}}, "required": [], "z": None, "b": True}}}]

# Expressions with what they write, or their failure. `v` has values to work on.
VARIABLES = {"v": {"text": "  Hello, Wörld!  ", "n": 7, "f": 2.5, "none": None, "yes": True, "list": [3, 1, 2, 1], "words": ["b", "A", "c", "a"],
                   "people": [{"name": "Bo", "age": 3, "tags": ["x"]}, {"name": "al", "age": 2}, {"name": "Cy", "age": 3}],
                   "dict": {"b": 1, "a": [1, "x\n"], "C": None}, "empty": "", "lines": "one\ntwo\r\n\nthree"},
             "messages": [{"role": "user", "content": "q"}]}
EXPRESSIONS = """
v.text|trim ~ '.' | v.text.strip() | v.text|upper | v.text|lower | v.text|title | v.text|trim|capitalize | v.text.title() | v.text|length | v.text[2:7] | v.text[::-1] | v.text[-5:] | v.text[100:] | v.text[1]
v.text.split() | v.text.split(',') | v.text.split('l', 1) | v.text.rsplit('l', 1) | 'a b  c'.split(' ') | ' a b c '.split(none, 1) | v.lines.splitlines() | v.lines.splitlines(true) | v.text.replace('l', 'L') | v.text|replace('l', 'L', 1) | 'aXbX'.replace('X', '', 1) | 'ab'.replace('', '-')
v.text.find('W') | v.text.find('zz') | v.text.index('W') | v.text.index('zz') | v.text.count('l') | 'abc'.startswith('ab') | 'abc'.startswith(('x', 'a')) | 'abc'.endswith('bc') | 'abc'.removeprefix('a') | 'abc'.removesuffix('c') | 'a=b=c'.partition('=') | 'a=b=c'.rpartition('=') | '-'.join(v.words) | '-'.join([1]) | 'xxaxx'.strip('x') | 'xxaxx'.lstrip('x') | 'xxaxx'.rstrip('x')
'a'.isalpha() | '1'.isdigit() | ' '.isspace() | 'Ab'.isupper() | 'AB'.isupper() | 'ab1'.islower() | 'ß'.upper() | 'x'.center(5) | 'xy'.center(5, '*') | 'x'.ljust(3) ~ '|' | 'x'.rjust(3) | '{} {1}'.format(1, 2) | '{}-{}'.format('a', 2) | '{x}'.format(x=3) | '{{}}'.format()
v.n + 1 | v.n - 8 | v.n * 2 | v.n / 2 | v.n // 2 | -v.n // 2 | v.n % 4 | -v.n % 4 | 2 ** 10 | 2 ** -1 | v.f + 1 | v.f * 2 | 7.0 // 2 | 7.5 % 2 | -v.f | +v.n | 1 / 0 | 1 % 0 | 9223372036854775807 | 1e3 | 1.5e-7 | 1e16 | 1e22 | 0.1 + 0.2 | 100000.0 | 3.0
1 + 'a' | 'a' + 'b' | 'a' ~ 1 ~ none ~ true | 'ab' * 3 | [1] * 2 | [1] + [2] | (1,) + (2, 3) | 'a' 'b' | "q\\"'\\n\\x41\\u00e9" | 1 + true | true + true | none + 1 | 'a' - 1
v.n == 7 | v.n == 7.0 | v.n != 7 | 1 == true | 'a' < 'b' | 1 < 2 < 3 | 1 < 3 < 2 | 1 < 'a' | [1, 2] < [1, 3] | none == none | 'a' == 1 | [1] == (1,) | {'a': 1} == {'a': 1.0} | nothing == nothing2 | nothing == none
1 in v.list | 9 not in v.list | 'ell' in v.text | 'a' in v.dict | 'z' in v.dict | 1 in nothing | 1 in 5 | 1 in 'abc' | not 1 in [2] | not true and false | true or nothing.x | false and nothing.x | 1 and 2 | 0 or '' or 'x' | not '' | not nothing
v.list[0] | v.list[-1] | v.list[9] | v.list['x'] | v.list.0 | v.list[1:3] | v.list[::2] | v.list[::-1] | v.list[5:1:-2] | v.list[:-1] | v.list|first | v.list|last | []|first | v.list|length | v.list|sort | v.list|sort(reverse=true) | v.words|sort | v.words|sort(case_sensitive=true) | v.list|unique|list | v.list|sum | v.list|max | v.list|min | v.list|reverse|list | 'abc'|reverse | v.list|join | v.list|join(', ') | v.list|list | 'abc'|list | v.dict|list | v.list|string | v.list.index(2) | v.list.count(1) | v.list.append(4)
v.people|map(attribute='name')|list | v.people|map(attribute='tags.0')|list | v.people|map(attribute='tags', default='-')|list | v.words|map('upper')|list | v.words|map('replace', 'a', 'x')|join | v.people|selectattr('age', 'equalto', 3)|list|length | v.people|selectattr('tags')|map(attribute='name')|join | v.people|rejectattr('age', 'gt', 2)|map(attribute='name')|join | v.list|select('odd')|list | v.list|reject('eq', 1)|list | [0, 1, '', 'a']|select|list | v.people|selectattr('tags', 'defined')|list|length | v.people|sort(attribute='age')|map(attribute='name')|join(' ') | v.people|sort(attribute='age', reverse=true)|map(attribute='name')|join(' ') | v.people|join('+', attribute='name') | v.people|sum(attribute='age') | v.people|map(attribute='age')|max | v.people|max(attribute='age') | v.people|groupby('age')|list|length
v.dict.a | v.dict['a'] | v.dict.zzz | v.dict.zzz.y | v.dict['zzz'] | v.dict.get('a') | v.dict.get('zzz') | v.dict.get('zzz', 5) | v.dict.keys()|list | v.dict.values()|list | v.dict.items()|list | v.dict|items|list | v.dict|dictsort | v.dict|dictsort(case_sensitive=true) | v.dict|length | v.dict | {'a': 1, 'b': [none, true]} | {'x': 1}.x | {1: 'a'}[1] | v.dict.update({}) | dict(a=1, b='c') | dict({'x': 1}, y=2)
v.dict|tojson | v.dict|tojson(indent=2) | v|tojson | [1, 2.0, 'é"\\\\', none, false, {}]|tojson | []|tojson(indent=2) | {'b': 1, 'a': 2}|tojson(sort_keys=true) | {'b': 1, 'a': 2}|tojson(separators=(',', ':')) | 'é😀'|tojson(ensure_ascii=true) | nothing|tojson | v.f|tojson | (1, 2)|tojson | '<&>'|tojson
nothing | nothing.x | nothing['x'] | nothing() | nothing|default('d') | nothing|d | ''|default('d') | ''|default('d', true) | none|default('d') | nothing|length | nothing|list | nothing|join | nothing ~ 'x' | nothing + 'x' | nothing|trim | nothing is defined | v.zzz is defined | v.zzz.y is defined | nothing|upper | nothing|int | -nothing | nothing < 1 | nothing[0:1]
v.n is number | v.n is integer | v.f is float | v.yes is integer | v.yes is boolean | v.none is none | v.text is string | v.list is sequence | v.list is iterable | v.dict is mapping | v.dict is iterable | v.text is iterable | v.n is iterable | v.n is odd | v.n is even | v.n is divisibleby 7 | v.n is divisibleby(2) | v.n is gt 3 | v.n is eq(7) | v.n is sameas 7 | v.n is in [7] | v.n is not none | v.yes is true | v.yes is false | 'a' is lower | 'A' is upper | range is callable | v.text is callable | v.text is undefined | 'upper' is filter | 'odd' is test | v.n is not odd or true | not v.n is odd | v.n is string and v.zzz.y
1 if true else 2 | 1 if false else 2 | 1 if false | (1 if nothing else 2) + 1 | 'a' if v.n > 3 and v.text else 'b' | 1 if 0 else 2 if 0 else 3 | [1, 2,] | (1,) | () | (1) | {} | [] | (1, 'a') | 1, 2 | [[1], {'a': (1, "it's")}] | "it's" | ['it\\'s', 'say "x"', 'both \\' "', 'é\\n\\t\\x01\\u200b'] | true | none | [true, none, 1.0]
range(3)|list | range(1, 7, 2)|list | range(3, 0, -1)|list | range(0)|list | range(3)[1] | range(1000000)|length | namespace(a=1).a | namespace(a=1).b | namespace({'x': 2}).x | raise_exception('no ' ~ 'way') | strftime_now('%Y-%m-%d') | [1, 2, 3]|batch(2)|list | [1, 2, 3]|batch(2, 0)|list
'7'|int | ' 12 '|int | 'x'|int | 'x'|int(5) | '3.7'|int | 3.7|int | none|int | '2.5'|float | 'x'|float | 7|float | -3|abs | -2.5|abs | 2.567|round(1) | 2.5|round | 3.5|round | 2.1|round(0, 'ceil') | 2.9|round(method='floor') | 42|string ~ '!' | none|string | v.lines|indent | v.lines|indent(2, true) | v.lines|indent(2, blank=true) | 'x'|attr('upper') is callable | v.text|safe | 'foo bar-baz'|title | v.list|map('string')|join('') | '  '|trim ~ '|' | 'xxaxx'|trim('x') | v.n|unknown | v.n is unknown | v.n|upper(1) | v.text.nope() | 'a'.upper(1)
2.675|round(2) | 0.15|round(1) | 1.005|round(2) | 5|round | 5|round(0) | 15|round(-1) | 25|round(-1) | -25|round(-1) | 7|round(-1) | 4|round(-2) | 1234.5|round(-2) | 50.0|round(-2) | 51.0|round(-2) | -0.4|round | 1e300|round(2) | 2.5|round(400) | true|round | '2.5'|round | 7|round(-1, 'ceil') | 7|round(1, 'floor') | 5|round(0, 'nope') | none|round
'ß'|upper | 'ﬁn ŉ ǰ'|upper | 'ᾳ ΐ'|upper | 'ΑΣ ΑΣΑ Σ Α.Σ'|lower | 'ΑΣ'.title() | 'αΣ'|title | 'ßa ﬁn ǆ'.title() | 'ßa ﬁn ǆ'|title | 'ßA'|capitalize | 'ǆA'.capitalize() | 'İX'|lower | 'ẞ ß ﬁ Σς'.casefold() | 'οδος'|upper | 'a(ΑΣ)'|title
range(3) | range(1, 7, 2) | range(0, 3, 1) ~ '' | [range(2)] | range(3)|string | range(3)|length
1 + 2 * 3 | (1 + 2) * 3 | 2 * 3 % 4 | 1 ~ 2 + 3 | 10 - 2 - 3 | 2 ** 3 ** 2 | -2 ** 2 | -3|abs | - 1 - -1 | 1 < 2 == true | not 1 == 2 | 'a' ~ 'b' == 'ab' | 1 + 1|string|length | v.list|length > 3 | v.list | length * 2 | 'x' in 'xyz' and 'y' not in 'abc' | v['list'][0]|string ~ 'z' | v . n | 'A'.lower().upper()|lower | [1, [2, [3]]][1][1][0] | v.people[0].tags[0]|upper
"""
STATEMENTS = [
    "{% for x in v.list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in v.list if x > 1 %}{{ x }}{{ loop.length }}{% else %}none{% endfor %}", "{% for x in [] %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, w in v.dict.items() %}{{ k }}={{ w }};{% endfor %}", "{% for k in v.dict %}{{ k }}{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in v.list %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in v.list %}{{ loop.previtem }}-{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for i in v.list %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set v.x = 1 %}", "{% set q %}a{{ v.n }}b{% endset %}{{ q|upper }}", "{% set q | upper | trim %} ab {% endset %}[{{ q }}]",
    "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{{ d }}{% endmacro %}{% set d = 9 %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(a=5, c=6) }}|{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro m() %}[{{ caller(1) }}]{% endmacro %}{% call(x) m() %}in {{ x }}{% endcall %}", "{% macro m() %}{{ x }}{% endmacro %}{% for x in [1] %}{{ m() }}{% endfor %}.", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% filter upper %}a{{ v.n }}b{% endfilter %}",
    "{% if v.n == 1 %}a{% elif v.n == 7 %}b{% else %}c{% endif %}", "{% if v.n %}{% if false %}a{% else %}b{% endif %}{% endif %}", "a{% raw %}{{ x }}{%- endraw -%}  b", "a {#- x -#} b {# {{ y }} #} c", "a\r\nb\rc\n", "a\n\n", "{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}{{ '%}' }}", "{% set x = {'a': {}} %}{{ x }}", "  {%- if true %}  a  {%- endif %}  b", "\t {% if true %}\n x\n {% endif %}\n y", "x {% if true %}\n x\n {% endif %} y\n z", " {{ 1 }}\n {{- 2 -}}\n 3", " {%+ if true +%}\n x{% endif %}\n", "{{ joiner is defined }}{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ j() }}",
    "{% if %}", "{% for x in %}{% endfor %}", "{{ 1", "{% if true %}", "{{ 1 + }}", "{{ 'a }}", "{% endif %}", "{% foo %}", "{# a", "{{ ) }}", "{% include 'x' %}", "{{ x|nope }}", "{% set 1 = 2 %}", "{{ a b }}", "{% for true in [1] %}{% endfor %}", "{{ 1 is }}", "{% break %}", "{% raw %}a", "{{ a.1b }}", "{{ @ }}", "{% macro %}{% endmacro %}", "{{ f(a=1, 2) }}", "{% else %}", "{{", "{%", "{", "", "{{ }}", "{{ x[] }}", "{{ x[1:2:3:4] }}",
    "{% for message in messages %}{{ message.role }}{% set message = 5 %}{{ message }}{% endfor %}", "{{ messages[0].content }}{{ messages[-1]['content'] }}{{ messages|length }}", "{{ (messages|first).role }}{{ messages|map(attribute='role')|list }}", "{% for m in messages|reverse %}{{ m.role }}{% endfor %}", "{% for m in messages[:1] %}{{ m is mapping }}{{ m.items()|list }}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% set ns.x = ns.x + [1] %}{{ ns.x }}", "{% set loop = 3 %}{{ loop }}",
    "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}", "{% generation %}{% set y = 2 %}{% endgeneration %}[{{ y }}]", "{% for m in [1, 2] %}{% generation %}{{ m }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% set ns = namespace(n=1) %}{% generation %}{% set ns.n = 2 %}{% endgeneration %}{{ ns.n }}", "{% for m in [1, 2] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", "{% for i in range(2) %}{% for j in range(2) %}{{ loop.depth }}{{ i }}{{ j }} {% endfor %}{% endfor %}",
]
