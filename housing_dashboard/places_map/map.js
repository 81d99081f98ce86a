// Places as dots that WebGL draws over pictures of borders and areas. `encoded` in __init__.py writes what `read` reads.

const MOST_ZOOM = 60
const NEAR = 6 // pixels from the edge of a dot at which it still answers the mouse
const STILL = 4 // pixels that a pointer may move in a click
const SETTLE = 150 // milliseconds without a change until pictures are drawn anew instead of stretched
const STEP = 1.6 // times that a button or a key zooms

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".places-map")
  root.map ??= new PlacesMap(root)
  root.map.opened = (name) => setTriggerValue("opened", name)
  root.map.show(read(data))
  return () => root.map.close()
}

function read(bytes) {
  const decoder = new TextDecoder()
  let at = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const header = JSON.parse(decoder.decode(bytes.subarray(4, at)))
  const next = (Type, count) => {
    const end = at + count * Type.BYTES_PER_ELEMENT
    const values = new Type(bytes.slice(at, end).buffer)
    at = end
    return values
  }
  const { count, within } = header
  const parts = {
    x: next(Float32Array, count),
    y: next(Float32Array, count),
    size: next(Float32Array, count),
    value: next(Float32Array, count),
    low: next(Float32Array, count),
    high: next(Float32Array, count),
    colour: next(Uint8Array, 4 * count),
    withinX: next(Float32Array, within),
    withinY: next(Float32Array, within),
    withinOf: next(Uint32Array, within),
  }
  const written = bytes.slice(at)
  let names = null
  // Names are needed under the mouse alone.
  const name = (place) => (names ??= decoder.decode(written).split("\n"))[place]
  return { ...header, ...parts, name }
}

class PlacesMap {
  constructor(root) {
    this.root = root
    for (const part of ["plot", "pictures", "dots", "hover", "bar", "ticks", "title"]) {
      this[part] = root.querySelector(`.${part}`)
    }
    this.painter = painter(this.dots)
    this.pointers = new Map()
    this.images = []
    this.listen()
    this.resized = new ResizeObserver(() => this.fit())
    this.resized.observe(this.plot)
  }

  close() {
    this.resized.disconnect()
    clearTimeout(this.settling)
    this.painter.close()
  }

  get count() {
    return this.shown.count
  }

  show(shown) {
    const moved = JSON.stringify(shown.extent) !== JSON.stringify(this.shown?.extent)
    this.shown = shown
    this.root.setAttribute("aria-label", shown.words)
    this.plot.setAttribute("aria-label", `${shown.title}. Arrow keys move the map, plus and minus zoom.`)
    this.painter.load(shown)
    this.picture()
    this.legend()
    this.point(null)
    if (moved) this.whole()
    else this.draw()
  }

  picture() {
    const { pictures } = this.shown
    while (this.images.length > pictures.length) this.images.pop().remove()
    pictures.forEach((picture, at) => {
      const image = (this.images[at] ??= this.pictures.appendChild(Object.assign(new Image(), { alt: "" })))
      if (image.written !== picture.source) image.src = image.written = picture.source
    })
    this.lay()
  }

  legend() {
    const { colours, ticks, title } = this.shown
    this.bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`
    this.title.textContent = title
    this.ticks.replaceChildren(
      ...ticks.map(([share, words]) => {
        const tick = Object.assign(document.createElement("span"), { textContent: words })
        tick.style.left = `${100 * share}%`
        return tick
      }),
    )
  }

  // The middle of what is seen in kilometres, and pixels of a kilometre.
  whole() {
    const [[left, right], [low, high]] = this.shown.extent
    this.x = (left + right) / 2
    this.y = (low + high) / 2
    this.zoom = 1
    this.fit()
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.plot
    if (!this.shown || !width || !height) return
    this.width = width
    this.height = height
    this.painter.resize(width, height)
    this.lay()
    this.draw()
  }

  get scale() {
    const [[left, right], [low, high]] = this.shown.extent
    return this.zoom * Math.min(this.width / (right - left), this.height / (high - low))
  }

  place(at) {
    return this.pixel(this.shown.x[at], this.shown.y[at])
  }

  pixel(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale]
  }

  // Places that grow as one comes closer, but by less than the map does.
  get growth() {
    return Math.min(this.zoom ** 0.4, 3)
  }

  draw() {
    if (!this.width) return
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => {
      this.painter.draw(this)
      this.stretch()
      this.plot.classList.toggle("zoomed", this.zoom > 1.01)
    })
  }

  // Pictures are put in percent, so that they print at another width.
  lay() {
    if (!this.width) return
    this.laid = { x: this.x, y: this.y, scale: this.scale }
    this.pictures.style.transform = ""
    this.shown.pictures.forEach((picture, at) => {
      const [left, top] = this.pixel(picture.left, picture.top)
      Object.assign(this.images[at].style, {
        left: `${(100 * left) / this.width}%`,
        top: `${(100 * top) / this.height}%`,
        width: `${(100 * picture.width * this.scale) / this.width}%`,
        height: `${(100 * picture.height * this.scale) / this.height}%`,
      })
    })
  }

  // While the map moves, pictures are stretched as they are.
  stretch() {
    const { x, y, scale } = this.laid
    if (x === this.x && y === this.y && scale === this.scale) return
    const by = this.scale / scale
    const across = (this.width * (1 - by)) / 2 + (x - this.x) * this.scale
    const down = (this.height * (1 - by)) / 2 - (y - this.y) * this.scale
    this.pictures.style.transform = `translate(${across}px, ${down}px) scale(${by})`
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.lay(), SETTLE)
  }

  // Zoom around a pixel, which stays where it is.
  zoomed(by, across = this.width / 2, down = this.height / 2) {
    const x = this.x + (across - this.width / 2) / this.scale
    const y = this.y - (down - this.height / 2) / this.scale
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * by))
    this.x = x - (across - this.width / 2) / this.scale
    this.y = y + (down - this.height / 2) / this.scale
    this.moved(0, 0)
  }

  // Move by pixels, no farther than to the edge of the map.
  moved(across, down) {
    const [[left, right], [low, high]] = this.shown.extent
    this.x = Math.min(right, Math.max(left, this.x - across / this.scale))
    this.y = Math.min(high, Math.max(low, this.y + down / this.scale))
    this.point(null)
    this.draw()
  }

  nearest(across, down) {
    const { x, y, size, count, withinX, withinY, withinOf, within, reach } = this.shown
    const scale = this.scale
    const east = this.x + (across - this.width / 2) / scale
    const north = this.y - (down - this.height / 2) / scale
    let found = null
    let least = Infinity
    for (let at = 0; at < count; at++) {
      const away = Math.hypot(x[at] - east, y[at] - north) * scale - (size[at] * this.growth) / 2
      if (away < Math.min(least, NEAR)) [found, least] = [at, away]
    }
    if (found !== null) return found
    for (let at = 0; at < within; at++) {
      const away = Math.hypot(withinX[at] - east, withinY[at] - north)
      if (away < Math.min(least, reach)) [found, least] = [withinOf[at], away]
    }
    return found
  }

  point(place) {
    this.plot.classList.toggle("pointed", place !== null)
    this.hover.hidden = place === null
    if (place === null) return
    const { name, title, value, low, high, unit, signed } = this.shown
    const figure = unit === "$" ? dollars(value[place]) : percent(value[place], signed)
    this.hover.textContent = `${name(place)}\n${title}: ${figure}\n90% interval: ${range(low[place], high[place])}`
    const [across, down] = this.place(place)
    const [wide, tall] = [this.hover.offsetWidth, this.hover.offsetHeight]
    const left = across + 12 + wide > this.width ? across - 12 - wide : across + 12
    const top = down + 12 + tall > this.height ? down - 12 - tall : down + 12
    this.hover.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`
  }

  listen() {
    const { plot, pointers } = this
    const at = (event) => {
      const box = plot.getBoundingClientRect()
      return [event.clientX - box.x, event.clientY - box.y]
    }
    plot.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault()
        this.zoomed(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...at(event))
      },
      { passive: false },
    )
    plot.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, at(event))
      if (pointers.size === 1) this.pressed = at(event)
      else this.pressed = null
    })
    plot.addEventListener("pointermove", (event) => {
      const now = at(event)
      const before = pointers.get(event.pointerId)
      if (!before) return this.point(this.nearest(...now))
      if (pointers.size === 1) {
        if (this.pressed && apart(this.pressed, now) <= STILL) return
        this.pressed = null
        plot.setPointerCapture(event.pointerId)
        this.moved(now[0] - before[0], now[1] - before[1])
      } else {
        const [, other] = [...pointers].find(([id]) => id !== event.pointerId)
        this.zoomed(apart(now, other) / Math.max(1, apart(before, other)), other[0], other[1])
      }
      pointers.set(event.pointerId, now)
    })
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) {
      plot.addEventListener(kind, (event) => {
        const pressed = this.pressed
        pointers.delete(event.pointerId)
        this.pressed = null
        if (kind !== "pointerup") return this.point(null)
        const place = pressed ? this.nearest(...at(event)) : null
        if (place !== null) this.opened(this.shown.name(place))
      })
    }
    plot.addEventListener("keydown", (event) => {
      const [wide, tall] = [this.width / 8, this.height / 8]
      const does = {
        ArrowLeft: () => this.moved(wide, 0),
        ArrowRight: () => this.moved(-wide, 0),
        ArrowUp: () => this.moved(0, tall),
        ArrowDown: () => this.moved(0, -tall),
        "+": () => this.zoomed(STEP),
        "-": () => this.zoomed(1 / STEP),
        0: () => this.whole(),
      }[event.key]
      if (!does || event.target !== plot) return
      event.preventDefault()
      does()
    })
    this.root.querySelector(".buttons").addEventListener("click", (event) => {
      const does = {
        closer: () => this.zoomed(STEP),
        farther: () => this.zoomed(1 / STEP),
        whole: () => this.whole(),
        download: () => this.download(),
      }[event.target.dataset.does]
      does?.()
    })
  }

  // All that is seen, and the scale of colours below it.
  download() {
    const [ratio, foot] = [2, 56]
    const { width, height } = this
    const canvas = Object.assign(document.createElement("canvas"), {
      width: ratio * width,
      height: ratio * (height + foot),
    })
    const page = canvas.getContext("2d")
    const { color, fontFamily } = getComputedStyle(this.root)
    page.scale(ratio, ratio)
    page.fillStyle = this.shown.background
    page.fillRect(0, 0, width, height + foot)
    this.shown.pictures.forEach((picture, at) => {
      const corner = this.pixel(picture.left, picture.top)
      page.drawImage(this.images[at], ...corner, picture.width * this.scale, picture.height * this.scale)
    })
    page.drawImage(this.dots, 0, 0, width, height)
    page.fillStyle = this.shown.background
    page.fillRect(0, height, width, foot)
    const [left, wide] = [width / 4, width / 2]
    const { colours, ticks, title } = this.shown
    page.fillStyle = page.createLinearGradient(left, 0, left + wide, 0)
    colours.forEach((colour, at) => page.fillStyle.addColorStop(at / (colours.length - 1), colour))
    page.fillRect(left, height + 6, wide, 10)
    Object.assign(page, { fillStyle: color, textAlign: "center", font: `12px ${fontFamily}` })
    ticks.forEach(([share, words]) => page.fillText(words, left + share * wide, height + 30))
    page.fillText(title, width / 2, height + 48)
    const link = Object.assign(document.createElement("a"), {
      href: canvas.toDataURL("image/png"),
      download: `${title}.png`,
    })
    link.click()
  }
}

// What draws dots on a canvas: WebGL, or the canvas itself where there is none.
function painter(canvas) {
  const kept = { alpha: true, antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: true }
  const gl = canvas.getContext("webgl", kept)
  return gl ? new Shaded(canvas, gl) : new Plain(canvas)
}

const VERTEX = `
attribute vec2 place;
attribute float size;
attribute vec4 colour;
uniform vec2 middle;
uniform vec2 scale;
uniform float growth;
varying vec4 shade;
varying float pixels;
void main() {
  gl_Position = vec4((place - middle) * scale, 0.0, 1.0);
  pixels = size * growth;
  gl_PointSize = pixels;
  shade = colour;
}`
const FRAGMENT = `
precision mediump float;
varying vec4 shade;
varying float pixels;
void main() {
  float edge = (0.5 - length(gl_PointCoord - 0.5)) * pixels;
  if (edge <= 0.0) discard;
  gl_FragColor = vec4(shade.rgb, 1.0) * min(edge + 0.25, 1.0);
}`

class Shaded {
  constructor(canvas, gl) {
    this.canvas = canvas
    this.gl = gl
    this.begin()
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault())
    canvas.addEventListener("webglcontextrestored", () => {
      this.begin()
      if (this.shown) this.load(this.shown)
      if (this.map) this.draw(this.map)
    })
  }

  begin() {
    const gl = this.gl
    const program = (this.program = gl.createProgram())
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ]) {
      const shader = gl.createShader(kind)
      gl.shaderSource(shader, source)
      gl.compileShader(shader)
      gl.attachShader(program, shader)
    }
    gl.linkProgram(program)
    gl.useProgram(program)
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    this.buffers = {}
  }

  load(shown) {
    this.shown = shown
    const gl = this.gl
    const places = new Float32Array(2 * shown.count)
    for (let at = 0; at < shown.count; at++) {
      places[2 * at] = shown.x[at]
      places[2 * at + 1] = shown.y[at]
    }
    this.attribute("place", places, 2, gl.FLOAT)
    this.attribute("size", shown.size, 1, gl.FLOAT)
    this.attribute("colour", shown.colour, 4, gl.UNSIGNED_BYTE)
  }

  attribute(name, values, parts, type) {
    const gl = this.gl
    gl.bindBuffer(gl.ARRAY_BUFFER, (this.buffers[name] ??= gl.createBuffer()))
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW)
    const at = gl.getAttribLocation(this.program, name)
    gl.enableVertexAttribArray(at)
    gl.vertexAttribPointer(at, parts, type, type === gl.UNSIGNED_BYTE, 0, 0)
  }

  resize(width, height) {
    this.ratio = window.devicePixelRatio || 1
    this.canvas.width = Math.round(width * this.ratio)
    this.canvas.height = Math.round(height * this.ratio)
    this.gl.viewport(0, 0, this.canvas.width, this.canvas.height)
  }

  draw(map) {
    this.map = map
    const gl = this.gl
    const uniform = (name) => gl.getUniformLocation(this.program, name)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
    gl.uniform2f(uniform("middle"), map.x, map.y)
    gl.uniform2f(uniform("scale"), (2 * map.scale) / map.width, (2 * map.scale) / map.height)
    gl.uniform1f(uniform("growth"), map.growth * this.ratio)
    gl.drawArrays(gl.POINTS, 0, map.count)
  }

  close() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext()
  }
}

class Plain {
  constructor(canvas) {
    this.canvas = canvas
    this.page = canvas.getContext("2d")
  }

  load(shown) {
    this.shown = shown
  }

  resize(width, height) {
    Object.assign(this.canvas, { width, height })
  }

  draw(map) {
    const { colour, size, count } = this.shown
    this.page.clearRect(0, 0, map.width, map.height)
    for (let at = 0; at < count; at++) {
      const [across, down] = map.place(at)
      const wide = size[at] * map.growth
      this.page.fillStyle = `rgb(${colour.subarray(4 * at, 4 * at + 3).join(",")})`
      this.page.fillRect(across - wide / 2, down - wide / 2, wide, wide)
    }
  }

  close() {}
}

function apart(one, other) {
  return Math.hypot(one[0] - other[0], one[1] - other[1])
}

function dollars(value) {
  return `$${Math.round(value).toLocaleString("en-US")}`
}

function percent(value, signed) {
  return `${signed && value >= 0 ? "+" : ""}${value.toFixed(Math.abs(value) < 9.995 ? 2 : 1)}%`
}

// As `price_range` writes an interval.
function range(low, high) {
  if (Number.isNaN(low) || Number.isNaN(high)) return "not known"
  const [unit, word, decimals] =
    low >= 1e6 ? [1e6, "M", high - low >= 50_000 ? 2 : 3] : [1e3, "k", high - low >= 5_000 ? 0 : 1]
  const written = [low, high].map((end) =>
    (end / unit).toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }),
  )
  return `$${written[0]}–${written[1]}${word}`
}
