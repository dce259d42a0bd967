"use strict";
// Browsers keep 8 to 16 WebGL contexts: beyond this number, the surface that left the view first is removed.
const MOST_SURFACES = 6;
const live = [];
const moments = {};  // by section: the moment that is shown
const isTouched = matchMedia("(pointer: coarse)").matches;
const settings = {
  responsive: true,
  displaylogo: false,
  // No buttons that upload a plot.
  showSendToCloud: false,
  plotlyServerURL: "",
  displayModeBar: isTouched ? false : "hover",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage", "resetCameraLastSave3d", "tableRotation"],
};
const hasWebGL = (() => {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl") || canvas.getContext("experimental-webgl"));
})();

function specification(plot) {
  const { data, layout } = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
  const moment = moments[plot.closest("section").id];
  for (const trace of data) {
    if (moment && trace.meta) trace.visible = trace.meta === moment;
  }
  // On touch screens a drag on a flat plot scrolls the page, and a tap shows a value.
  if (isTouched && !plot.classList.contains("surface")) layout.dragmode = false;
  if (layout.meta && moment) {
    layout.xaxis.range = layout.meta[moment]["xaxis.range"];
    layout.yaxis.range = layout.meta[moment]["yaxis.range"];
  }
  if (plot.clientWidth < 500) fitNarrow(data, layout, plot.clientWidth);
  layout.autosize = true;
  return { data, layout };
}

// On narrow screens the colour bar is below the axes, and the legend below it, in columns: the height is that of all.
function fitNarrow(data, layout, width) {
  const named = data.filter((trace) => trace.visible !== false && trace.showlegend !== false && trace.name);
  const names = named.filter((trace) => trace.type !== "surface" || trace.showlegend).map((trace) => trace.name);
  const columns = Math.max(0, ...names.map((name) => name.length)) > 18 ? 1 : 2;
  const rows = Math.ceil(names.length / columns) * 20 + 10;
  const entrywidth = 0.96 / columns;
  layout.legend = { ...layout.legend, entrywidth, entrywidthmode: "fraction", font: { size: 11 } };
  layout.font = { ...layout.font, size: 11 };
  const bars = data.filter((trace) => trace.colorbar);
  const bar = bars.length ? 56 : 0;
  const axes = layout.scene ? 0 : 44;
  layout.margin = { ...layout.margin, l: layout.scene ? 0 : 44, r: 8, b: rows + bar + axes };
  for (const { colorbar } of bars) {
    Object.assign(colorbar, {
      orientation: "h", x: 0.45, xanchor: "center", len: 0.8, thickness: 10, yref: "container", yanchor: "bottom",
    });
    // A title would cover the bar.
    colorbar.title = { text: "" };
    if (colorbar.ticktext) colorbar.ticktext[0] = `|q| = ${colorbar.ticktext[0]}`;
  }
  if (layout.scene) {
    layout.height = 0.9 * width + layout.margin.b;
    for (const axis of "xyz") layout.scene.camera.eye[axis] *= 1.25;
    for (const axis of ["xaxis", "yaxis", "zaxis"]) Object.assign(layout.scene[axis], { nticks: 5, tickfont: { size: 10 } });
  } else if (layout.xaxis.scaleanchor || layout.yaxis.scaleanchor) {
    const [left, right] = layout.xaxis.range;
    const [low, high] = layout.yaxis.range;
    layout.height = (width - 52) * Math.min(1.2, (high - low) / (right - left)) + layout.margin.t + layout.margin.b;
  } else {
    layout.height = 0.72 * (layout.height - 88) + layout.margin.t + layout.margin.b;
  }
  for (const trace of data) if (trace.mode === "markers" && trace.marker.size < 5) trace.marker.size *= 0.7;
  // The share of the height at which the bar begins, above the legend.
  for (const { colorbar } of bars) colorbar.y = rows / layout.height;
}

async function create(plot) {
  if (plot.dataset.state) return;
  plot.dataset.state = "drawing";
  const { data, layout } = specification(plot);
  await Plotly.newPlot(plot, data, layout, settings);
  plot.dataset.state = "drawn";
}

function remove(plot) {
  plot.style.minHeight = `${plot.offsetHeight}px`;
  Plotly.purge(plot);
  delete plot.dataset.state;
}

function show(plot, moment) {
  if (plot.dataset.state !== "drawn" || !plot.data.some((trace) => trace.meta)) return;
  const visible = plot.data.map((trace) => !trace.meta || trace.meta === moment);
  Plotly.update(plot, { visible }, plot.layout.meta?.[moment] ?? {});
}

function turn(plot, key) {
  const camera = plot.layout.scene.camera;
  const { x, y, z } = camera.eye;
  const radius = Math.hypot(x, y, z);
  let azimuth = Math.atan2(y, x);
  let elevation = Math.asin(z / radius);
  let factor = 1;
  if (key === "ArrowLeft") azimuth -= Math.PI / 12;
  else if (key === "ArrowRight") azimuth += Math.PI / 12;
  else if (key === "ArrowUp") elevation = Math.min(elevation + Math.PI / 18, 1.5);
  else if (key === "ArrowDown") elevation = Math.max(elevation - Math.PI / 18, -1.5);
  else if (key === "+" || key === "=") factor = 1 / 1.2;
  else if (key === "-") factor = 1.2;
  else if (key === "0") {
    Plotly.relayout(plot, { "scene.camera": specification(plot).layout.scene.camera });
    return true;
  } else return false;
  const flat = factor * radius * Math.cos(elevation);
  const eye = { x: flat * Math.cos(azimuth), y: flat * Math.sin(azimuth), z: factor * radius * Math.sin(elevation) };
  Plotly.relayout(plot, { "scene.camera": { ...camera, eye } });
  return true;
}

// Shows the values of all curves at the next or previous epoch.
function stepEpoch(plot, by) {
  const traces = plot.data.filter((trace) => trace.visible !== false);
  const epochs = [...new Set(plot.calcdata.flatMap((calculated) => calculated.map((point) => point.x)))].sort((a, b) => a - b);
  const before = Number(plot.dataset.at ?? (by > 0 ? -1 : epochs.length));
  const at = Math.min(Math.max(before + by, 0), epochs.length - 1);
  plot.dataset.at = at;
  Plotly.Fx.hover(plot, { xval: epochs[at] }, "xy");
  const values = plot.calcdata.flatMap((calculated, index) => calculated
    .filter((point) => point.x === epochs[at] && Number.isFinite(point.y))
    .map((point) => `${traces[index].hovertemplate.split(" %")[0]} ${Number(point.y).toPrecision(4)}`));
  plot.closest("figure").querySelector(".said").textContent = `epoch ${epochs[at]}: ${values.join(", ")}`;
  return true;
}

// Roots and eigenvalues of the shown moment, ordered by real part.
function points(plot) {
  const found = [];
  plot.calcdata.forEach((calculated, curveNumber) => {
    const { trace } = calculated[0];
    if (trace.type !== "scatter" || trace.visible !== true || trace.mode !== "markers") return;
    calculated.forEach((point, pointNumber) => found.push({ curveNumber, pointNumber, x: point.x, y: point.y, trace }));
  });
  return found.sort((a, b) => a.x - b.x || a.y - b.y);
}

function step(plot, key) {
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -25, PageDown: 25 }[key];
  if (!by) return false;
  const all = points(plot);
  if (!all.length) return stepEpoch(plot, by);
  const before = Number(plot.dataset.at ?? (by > 0 ? -1 : all.length));
  const at = Math.min(Math.max(before + by, 0), all.length - 1);
  plot.dataset.at = at;
  const { curveNumber, pointNumber, x, y, trace } = all[at];
  Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }]);
  const size = trace.customdata ? `, |q| ${Number(trace.customdata[pointNumber]).toPrecision(4)}` : "";
  const what = trace.name.startsWith("roots") ? "root" : "eigenvalue";
  plot.closest("figure").querySelector(".said").textContent =
    `${what} ${x.toPrecision(5)} ${y < 0 ? "−" : "+"} ${Math.abs(y).toPrecision(5)} i${size}`;
  return true;
}

document.querySelectorAll(".moments").forEach((choice) => {
  const section = choice.closest("section");
  moments[section.id] = choice.querySelector(":checked").value;
  choice.addEventListener("change", (event) => {
    moments[section.id] = event.target.value;
    section.querySelectorAll(".plot").forEach((plot) => {
      delete plot.dataset.at;
      if (plot.dataset.state === "drawn") Plotly.Fx.unhover(plot);
      plot.closest("figure").querySelector(".said").textContent = "";
      show(plot, event.target.value);
    });
  });
});

document.querySelectorAll(".plot").forEach((plot) => {
  plot.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || plot.dataset.state !== "drawn") return;
    const isDone = plot.classList.contains("surface") ? turn(plot, event.key) : step(plot, event.key);
    if (isDone) event.preventDefault();
  });
});

document.querySelectorAll(".controls button").forEach((button) => {
  button.addEventListener("click", () => {
    const plot = document.getElementById(button.parentElement.dataset.plot);
    if (plot.dataset.state === "drawn") turn(plot, button.dataset.key);
  });
});

if (!hasWebGL) document.body.classList.add("flat");
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.dataset.near = isIntersecting ? "yes" : "";
    if (!isIntersecting || target.dataset.state) continue;
    live.push(target);
    create(target);
    while (live.length > MOST_SURFACES) {
      const far = live.findIndex((plot) => !plot.dataset.near && plot.dataset.state === "drawn");
      if (far < 0) break;
      remove(live.splice(far, 1)[0]);
    }
  }
}, { rootMargin: "300px" });

(async () => {
  for (const plot of document.querySelectorAll(".plot:not(.surface)")) await create(plot);
  if (hasWebGL) document.querySelectorAll(".plot.surface").forEach((plot) => observer.observe(plot));
  document.body.dataset.state = "ready";
})();

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
