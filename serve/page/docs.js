// Lists what /openapi.json describes; no library, so that it works without the internet.

const make = (name, text, cls = "") => Object.assign(document.createElement(name), { textContent: text, className: cls });
const spec = await (await fetch("/openapi.json")).json();
document.getElementById("about").textContent = spec.info.description;
for (const [path, methods] of Object.entries(spec.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const box = make("section", ""), head = make("h2", "");
    head.append(make("b", method.toUpperCase(), method), make("code", path));
    box.append(head, make("p", route.description || route.summary));
    const list = make("ul", "");
    for (const p of route.parameters || []) list.append(make("li", `${p.name} (${p.in}${p.required ? ", required" : ""})`));
    for (const type of Object.keys(route.requestBody?.content || {})) list.append(make("li", `body: ${type}`));
    for (const [code, answer] of Object.entries(route.responses || {})) if (!["200", "422"].includes(code)) list.append(make("li", `${code}: ${answer.description}`));
    if (list.children.length) box.append(list);
    document.getElementById("routes").append(box);
  }
}
