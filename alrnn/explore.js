// What a box of `explore.ask` does with a number: 0.75, 0,75, 3/4, 75% and 7.5e-1 are read alike.
const words = this.elements[0].value.trim().replace(",", ".").replace("\u2212", "-");
const parts = words.replace("%", "").split("/").map((part) => part.trim() && Number(part));
const typed = parts.length < 3 && !parts.includes("") ? parts[0] / (parts[1] ?? 1) : NaN;
const number = words.endsWith("%") ? typed / 100 : typed;
const near = (x) => Math.abs(number - x) <= this.dataset.within * Math.max(Math.abs(x), 1e-12);
const hint = JSON.parse(this.dataset.hints).find(([value]) => near(value));
this.querySelector("output").textContent = !Number.isFinite(number) ? "A number, please, such as 0.25 or 1/4."
  : near(this.dataset.answer) ? "Right." : hint ? "No. " + hint[1] : "Not yet.";
return false;
