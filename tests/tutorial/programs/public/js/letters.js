var Letters = React.createClass({
  getInitialState: function () {
    return {length: "8", drawn: ""};
  },

  ask: function (method, data, state) {
    var show = function (answer) {
      this.setState(state || {drawn: answer});
    };
    $.ajax({url: this.props.url, type: method, data: data, dataType: "text"}).done(show.bind(this));
  },

  draw: function () {
    this.ask("POST", {length: this.state.length});
  },

  replace: function () {
    this.ask("PUT", {letters: this.state.drawn}, {length: String(this.state.drawn.length)});
  },

  remove: function () {
    this.ask("DELETE", {}, this.getInitialState());
  },

  take: function (field, event) {
    var change = {};
    change[field] = event.target.value;
    this.setState(change);
  },

  render: function () {
    if (!this.state.drawn) {
      return (
        <div>
          <input id="length" value={this.state.length} onChange={this.take.bind(this, "length")} />
          <button id="draw" onClick={this.draw}>Draw</button>
        </div>
      );
    }
    return (
      <div>
        <input value={this.state.drawn} onChange={this.take.bind(this, "drawn")} />
        <button id="replace" onClick={this.replace}>Replace</button>
        <button id="delete" onClick={this.remove}>Delete</button>
      </div>
    );
  }
});

React.render(<Letters url="/letters" />, document.getElementById("letters"));
