// The browser's side of a panel: form controls made of `controls`, and what Python draws.
//
// The controls are the browser's own (input, select, button), so that they have names for screen
// readers, arrow keys and a visible focus.  Python sends whole pictures; whoever has the focus in
// the old one gets it in the new one.

const SETTLED = 150; // milliseconds without a change after which a slider is told to Python

// In the notebook's command mode keys are commands (an arrow goes to another cell); on what has this
// attribute itself they are not.
const OWN_KEYS = "data-lm-suppress-shortcuts";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function shown(control, value) {
  return control.unit ? `${value} ${control.unit}` : String(value);
}

function slider(control, value, changed) {
  const { label, min, max, step } = control;
  const input = element("input", { type: "range", min, max, step, "aria-label": label });
  const text = element("output", {});
  const tell = () => {
    text.textContent = shown(control, input.value);
    input.setAttribute("aria-valuetext", text.textContent);
  };
  input.value = value;
  tell();
  input.addEventListener("input", () => {
    tell();
    changed(Number(input.value), SETTLED);
  });
  return {
    node: element("label", { class: "lk-slider" }, element("span", {}, label), input, text),
    input,
    set(fresh) {
      // Not under the hand that moves it.
      if (Number(input.value) === fresh) return;
      input.value = fresh;
      tell();
    },
  };
}

function choice(control, value, changed) {
  const input = element("select", { "aria-label": control.label });
  for (const option of control.options) input.append(element("option", {}, option));
  input.value = value;
  input.addEventListener("change", () => changed(input.value, 0));
  return {
    node: element("label", { class: "lk-choice" }, element("span", {}, control.label), input),
    input,
    set(fresh) {
      input.value = fresh;
    },
  };
}

function toggle(control, value, changed) {
  const input = element("button", { type: "button", class: "lk-button" });
  const set = (on) => {
    input.textContent = on ? control.on : control.off;
    input.setAttribute("aria-pressed", String(Boolean(on)));
  };
  set(value);
  input.addEventListener("click", () => {
    const on = input.getAttribute("aria-pressed") !== "true";
    set(on);
    changed(on, 0);
  });
  return { node: input, input, set };
}

function button(control, _value, changed) {
  const input = element("button", { type: "button", class: "lk-button" }, control.label);
  input.addEventListener("click", () => changed(null, 0));
  return { node: input, input, set() {} };
}

const KINDS = { slider, choice, toggle, button };

function controls(model, bar) {
  let made = {};
  let timer;
  let waiting = {};

  function flush() {
    clearTimeout(timer);
    model.set("values", { ...model.get("values"), ...waiting });
    waiting = {};
    model.save_changes();
  }
  function changed(control, value, delay) {
    if (control.kind === "button") return model.send({ press: control.name });
    waiting[control.name] = value;
    clearTimeout(timer);
    timer = setTimeout(flush, delay);
  }
  function build() {
    const focused = bar.contains(document.activeElement) && document.activeElement.dataset.name;
    const values = model.get("values");
    made = {};
    for (const control of model.get("controls")) {
      const { kind, name } = control;
      const one = KINDS[kind](control, values[name], (...told) => changed(control, ...told));
      one.input.dataset.name = name;
      one.input.setAttribute(OWN_KEYS, "true");
      made[name] = one;
    }
    bar.replaceChildren(...Object.values(made).map((one) => one.node));
    if (focused && made[focused]) made[focused].input.focus();
  }
  function update() {
    for (const [name, value] of Object.entries(model.get("values")))
      if (made[name] && !(name in waiting)) made[name].set(value);
  }
  build();
  model.on("change:controls", build);
  model.on("change:values", update);
}

// One Tab stop for the whole picture; arrow keys go from one thing in it to the next.
function things(picture, detail) {
  let current = null; // the key of what has the focus, or had it last

  const all = () => [...picture.querySelectorAll("[data-key]")];
  function tell(thing) {
    detail.textContent = thing ? thing.getAttribute("aria-label") : "";
  }
  function settle() {
    const found = all();
    const mine = found.find((thing) => thing.dataset.key === current) || found[0];
    for (const thing of found) {
      thing.setAttribute("tabindex", thing === mine ? "0" : "-1");
      thing.setAttribute(OWN_KEYS, "true");
    }
    return mine;
  }
  const of = (event) => event.target.closest?.("[data-key]");

  picture.addEventListener("focusin", (event) => {
    const thing = of(event);
    if (!thing) return;
    current = thing.dataset.key;
    settle();
    tell(thing);
  });
  picture.addEventListener("click", (event) => of(event)?.focus());
  picture.addEventListener("pointerover", (event) => of(event) && tell(of(event)));
  picture.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const found = all();
    const place = found.indexOf(document.activeElement);
    if (place < 0 || !(event.key in moves)) return;
    event.preventDefault();
    found[(place + moves[event.key] + found.length) % found.length].focus();
  });
  return function replace(html) {
    const focused = picture.contains(document.activeElement);
    picture.innerHTML = html;
    const mine = settle();
    if (!mine) return;
    if (focused) mine.focus();
    else if (mine.dataset.key === current) tell(mine);
  };
}

function render({ model, el }) {
  const bar = element("div", { class: "lk-controls" });
  const words = element("div", { class: "lk-words", role: "status" });
  const under = element("div", { class: "lk-under" });
  const over = element("div", { class: "lk-over", "aria-hidden": "true" });
  const detail = element("div", { class: "lk-detail" });
  const note = element("div", { class: "lk-note" });
  const root = element(
    "div",
    { class: "labkit-panel", role: "group", "aria-label": model.get("title") },
    bar,
    words,
    element("div", { class: "lk-picture" }, under, over),
    detail,
    note,
  );
  controls(model, bar);
  const replace = things(under, detail);

  const follow = (name, apply) => {
    apply(model.get(name));
    model.on(`change:${name}`, () => apply(model.get(name)));
  };
  follow("picture", replace);
  follow("overlay", (html) => (over.innerHTML = html));
  follow("words", (html) => (words.innerHTML = html));
  follow("note", (text) => (note.textContent = text));
  el.append(root);
}

export default { render };
