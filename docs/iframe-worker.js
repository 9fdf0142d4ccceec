// Browsers start no workers from file://, and the search is one. Here a hidden frame stands for it, so that the search
// works from the disk too. The way is that of the package iframe-worker by Martin Donath (MIT), which the theme would
// fetch from a network.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      addEventListener("message", ({ source, data }) => {
        if (source !== inner) return;
        const told = new MessageEvent("message", { data });
        this.dispatchEvent(told);
        this.onmessage?.(told);
      });
      const load = `(...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = done;
        document.body.append(script);
      })), Promise.resolve())`;
      inner.document.open();
      inner.document.write(
        `<body><script>postMessage = (data) => parent.postMessage(data, "*"); importScripts = ${load}</` +
          `script><script src="${url}"></` + `script>`,
      );
      inner.document.close();
      this.ready = new Promise((done) => (inner.onload = done));
    }
    postMessage(data) {
      this.ready.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })),
      );
    }
    terminate() {
      this.frame.remove();
    }
  };
}
