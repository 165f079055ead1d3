// Accessibility checks of the current page.
() => {
  const isShown = (element) => element.checkVisibility();

  const unnamed = [...document.querySelectorAll("input, select, button, a")]
    .filter(isShown)
    .filter((each) => !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim())
    .map((each) => each.outerHTML);

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parts = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parts(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const luminance = (color) => {
    const [r, g, b] = color
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };

  // WCAG 2.1, 1.4.3: a contrast of 4.5 to 1, except for disabled controls.
  const hard_to_read = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !isShown(element) || element.closest(":disabled, .heard")) continue;
    const { color, fill } = getComputedStyle(element);
    const one = luminance(parts(element.closest("svg") ? fill : color));
    const other = luminance(ground(element));
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) hard_to_read.push(`${text}: ${contrast.toFixed(2)}`);
  }

  const { scrollWidth, clientWidth } = document.documentElement;
  return { unnamed, hard_to_read, too_wide: scrollWidth - clientWidth };
}
